"""Sites for the stages of a section: neighbours in the pipeline become neighbours on the mesh.

A curve winds through every tile (bands of rows, column by column), so that a run of it is a compact patch in which PCUs
and PMUs alternate. The n-th PCU and the n-th PMU of the curve make slot n. Stages follow each other on the slots of all
tiles, those of one die first, or every tile holds a part of each; a stage as long as its more numerous kind spreads the
other kind over its run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil

import numpy as np

from rdusim.mapping.mesh import Floats, Ints, Mesh
from rdusim.mapping.types import Placement
from rdusim.program.types import Section, Stage


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """The slots [first, end) of every tile."""

    first: int
    end: int

    @property
    def slots(self) -> int:
        return self.end - self.first


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """How stages lie on the curve: numbers of the stages in the order they follow each other, rows of a band.

    `alike`: every tile holds its part of every stage; otherwise one tile is filled after the other.
    """

    order: tuple[int, ...]
    band: int
    alike: bool = False


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sites:
    """Switches of the PCUs and the PMUs of each stage, by its name."""

    pcus: dict[str, Ints]
    pmus: dict[str, Ints]

    def placements(self, mesh: Mesh) -> tuple[Placement, ...]:
        """The same as sites, in the order of the stages."""
        sites = mesh.sites
        return tuple(
            Placement(
                stage=name,
                pcus=tuple(sites[switch] for switch in self.pcus[name].tolist()),
                pmus=tuple(sites[switch] for switch in self.pmus[name].tolist()),
            )
            for name in self.pcus
        )


def place(
    section: Section, mesh: Mesh, window: Window | None = None, layout: Layout | None = None
) -> tuple[Placement, ...]:
    """Sites within `window` (everywhere by default), by `constructive` without a layout.

    The section must fit: see `whole` and `windows`.
    """
    window = window or whole(mesh)
    return lay(section, mesh, window, layout or constructive(section, mesh, window)).placements(mesh)


def lay(section: Section, mesh: Mesh, window: Window, layout: Layout) -> Sites:
    """Sites within `window` under a layout."""
    if not layout.alike:
        return _run(section, mesh, window, layout)
    one = replace(mesh, tiles=1)
    parts = [_run(part, one, window, layout) for part in _parts(section, mesh.tiles)]

    def joined(kind: Sequence[dict[str, Ints]], name: str) -> Ints:
        return np.concatenate([sites[name] + tile * mesh.tile_switches for tile, sites in enumerate(kind)])

    names = [stage.name for stage in section.stages]
    pcus, pmus = [part.pcus for part in parts], [part.pmus for part in parts]
    return Sites(pcus={name: joined(pcus, name) for name in names}, pmus={name: joined(pmus, name) for name in names})


def _parts(section: Section, tiles: int) -> list[Section]:
    """The section with the units of each stage shared out over the tiles; odd ones go to one tile after the other."""
    found: list[list[Stage]] = [[] for _ in range(tiles)]
    odd = {"pcus": 0, "pmus": 0}
    for stage in section.stages:
        units = {}
        for kind in odd:
            each, over = divmod(int(getattr(stage, kind)), tiles)
            units[kind] = [each + ((tile - odd[kind]) % tiles < over) for tile in range(tiles)]
            odd[kind] += over
        for tile, stages in enumerate(found):
            stages.append(replace(stage, pcus=units["pcus"][tile], pmus=units["pmus"][tile]))
    return [replace(section, stages=tuple(stages), loads=(), stores=()) for stages in found]


def _run(section: Section, mesh: Mesh, window: Window, layout: Layout) -> Sites:
    """Stages one after the other on the curves of all tiles."""
    stages = [section.stages[number] for number in layout.order]
    pcus = np.array([stage.pcus for stage in stages], dtype=np.int64)
    pmus = np.array([stage.pmus for stage in stages], dtype=np.int64)
    lengths = lengths_of(section, mesh, window)[list(layout.order)]
    ends = np.cumsum(lengths)
    cuts = cuts_of(ends[None, :], mesh, window, agcus_of(section))[0]
    curve = curve_of(mesh, layout.band)
    found = []
    for parity, counts in ((0, pcus), (1, pmus)):
        axis, squares = _free(mesh, window, curve, parity)
        wanted = _slots(_spread(counts, ends - lengths, lengths), cuts, window)
        found.append(np.split(squares[_nearest(wanted, axis)], np.cumsum(counts)[:-1]))
    by_number = {number: parts for number, *parts in zip(layout.order, *found, strict=True)}
    return Sites(
        pcus={stage.name: by_number[number][0] for number, stage in enumerate(section.stages)},
        pmus={stage.name: by_number[number][1] for number, stage in enumerate(section.stages)},
    )


def constructive(section: Section, mesh: Mesh, window: Window) -> Layout:
    """Stages in the order of the program, bands in which a stage of mean size is about as wide as it is high.

    Sections that share the chip follow one curve, or their windows would overlap: its band is as high as a tile.
    """
    band = _band(lengths_of(section, mesh, window)) if window == whole(mesh) else mesh.rows
    return Layout(order=tuple(range(len(section.stages))), band=band)


def lengths_of(section: Section, mesh: Mesh, window: Window) -> Floats:
    """Slots of each stage.

    Where one kind is short the runs are squeezed: units of the short kind then come from the nearest free site.
    """
    lengths = np.array([max(stage.pcus, stage.pmus) for stage in section.stages], dtype=np.float64)
    squeezed: Floats = lengths * min(1.0, mesh.tiles * window.slots / max(1.0, lengths.sum()))
    return squeezed


def agcus_of(section: Section) -> int:
    """AGCU contexts of all loads and stores."""
    return sum(stream.agcus for stream in (*section.loads, *section.stores))


def whole(mesh: Mesh) -> Window:
    """All slots of every tile."""
    return Window(first=0, end=(mesh.tile_switches + 1) // 2)


def windows(sections: Sequence[Section], mesh: Mesh) -> tuple[Window, ...] | None:
    """A window for each of `sections`, so that all are on the chip at once; None where they do not fit.

    Every section gets its share of every tile rather than tiles of its own: so each reaches all AGCUs.
    """
    needs = [ceil(sum(max(stage.pcus, stage.pmus) for stage in section.stages) / mesh.tiles) for section in sections]
    ends = np.cumsum(needs)
    if not needs or ends[-1] > mesh.tile_switches // 2:
        return None
    return tuple(Window(first=int(end) - need, end=int(end)) for end, need in zip(ends, needs, strict=True))


def _band(lengths: Floats) -> int:
    """Rows of a band: a stage of mean size is about as wide as it is high (a slot is two squares)."""
    used = lengths[lengths > 0]
    return max(1, round((2 * float(used.mean())) ** 0.5)) if used.size else 1


def curve_of(mesh: Mesh, band: int) -> Ints:
    """The squares of a tile in the order of the curve: bands from top to bottom, to and fro, columns up and down."""
    squares = np.arange(mesh.tile_switches, dtype=np.int64).reshape(mesh.rows, mesh.cols)
    pieces = []
    for number, rows in enumerate(np.array_split(squares, max(1, round(mesh.rows / band)))):
        columns = rows.T[::-1].copy() if number % 2 else rows.T.copy()
        columns[1::2] = columns[1::2, ::-1]
        pieces.append(columns.reshape(-1))
    return np.concatenate(pieces)


def cuts_of(ends: Floats, mesh: Mesh, window: Window, agcus: int) -> Floats:
    """Where on the run of all stages each tile begins; equal shares, moved to a stage's end if one is near.

    `ends` of the stages: one row for each order of them, and so is the result. Tiles are taken as sites and AGCUs ask
    for: a stage reads memory through the AGCUs of its own tile.
    """
    total = float(ends[0, -1]) if ends.size else 0.0
    by_agcus = ceil(agcus / max(1, mesh.agcus.shape[1]))
    tiles = min(mesh.tiles, max(1, ceil(total / window.slots), by_agcus)) if window.slots else 1
    share = total / tiles
    cuts = np.zeros((ends.shape[0], tiles))
    for number in range(1, tiles):
        before = cuts[:, number - 1]
        lowest = np.maximum(before, total - (tiles - number) * window.slots)
        highest = np.maximum(lowest, np.minimum(total, before + window.slots))
        target = np.minimum(highest, np.maximum(lowest, round(number * share)))
        away = abs(ends - target[:, None]).argmin(axis=1)
        near = np.take_along_axis(ends, away[:, None], axis=1)[:, 0]
        # A quarter of a share keeps the tiles, and with them the AGCUs, evenly used.
        fits = (lowest <= near) & (near <= highest) & (abs(near - target) <= share / 4)
        cuts[:, number] = np.where(fits, near, target)
    return cuts


def _free(mesh: Mesh, window: Window, curve: Ints, parity: int) -> tuple[Ints, Ints]:
    """Slots and switches of one kind in order: slot s of tile t stands at t x slots + s."""
    row, col = np.divmod(curve, mesh.cols)
    squares = curve[(row + col) % 2 == parity][window.first : window.end]
    tiles = np.arange(mesh.tiles, dtype=np.int64)[:, None]
    axis = tiles * window.slots + np.arange(squares.size, dtype=np.int64)
    return axis.reshape(-1), (tiles * mesh.tile_switches + squares).reshape(-1)


def _spread(counts: Ints, starts: Floats, lengths: Floats) -> Floats:
    """Wished positions of all units of one kind: evenly over the run of their stage."""
    stage = np.repeat(np.arange(counts.size), counts)
    number = np.arange(stage.size) - np.repeat(np.cumsum(counts) - counts, counts)
    spread: Floats = starts[stage] + (number + 0.5) * lengths[stage] / np.maximum(1, counts)[stage]
    return spread


def _slots(positions: Floats, cuts: Floats, window: Window) -> Ints:
    """Positions on the run of all stages as slots of the tiles."""
    tile = np.maximum(0, np.searchsorted(cuts, positions, side="right") - 1)
    slots: Ints = np.floor(tile * window.slots + positions - cuts[tile]).astype(np.int64)
    return slots


def _nearest(wanted: Ints, axis: Ints) -> Ints:
    """Indices into `axis` for positions in ascending order: each its own, the wish or the next one free."""
    number = np.arange(wanted.size, dtype=np.int64)
    index = np.searchsorted(axis, wanted) - number
    taken = np.maximum.accumulate(index) + number if wanted.size else index
    # Nobody may run off the end: the last of n takes at most the last site, the one before it the last but one.
    return np.minimum(taken, axis.size - wanted.size + number)
