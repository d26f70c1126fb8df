"""Who must get how many bytes of a tile from whom: what the nets of a flow have to add up to.

A stream's tile is cut evenly over its sources and its targets, or into the parts of a multicast; a load ends at all
sites of its stage, a store starts there. Within a hardware tile every pair counts for itself. Between tiles, and to
memory, bytes pass the top-level network: what a unit sends there and what it gets from there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from rdusim.mapping.mesh import Floats, Ints, Mesh
from rdusim.mapping.multicast import holders_of, readers_of, shares
from rdusim.mapping.spread import cross, spread
from rdusim.mapping.types import Flow
from rdusim.program.types import Stream


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Deliveries:
    """`bytes` of one tile of flow `flow` from switch `source` to switch `target`; `mesh.switches` is the TLN."""

    flow: Ints
    source: Ints
    target: Ints
    bytes: Floats


def deliveries(
    flows: Sequence[Flow], stores: set[str], pcus: Mapping[str, Ints], pmus: Mapping[str, Ints], mesh: Mesh
) -> Deliveries:
    """Of all flows. `stores`: names of those that end in memory; `pcus`, `pmus`: switches by stage."""
    parts: list[tuple[Ints, Ints, Ints, Floats]] = []
    spreads: list[tuple[int, Ints, Ints]] = []
    for number, flow in enumerate(flows):
        if not flow.tile_bytes:
            continue  # nothing to bring
        if not isinstance(flow, Stream):
            sites = pmus[flow.stage] if pmus[flow.stage].size else pcus[flow.stage]
            memory = np.full(sites.size, mesh.switches, dtype=np.int64)
            ends = (sites, memory) if flow.name in stores else (memory, sites)
            parts.append(
                (np.full(sites.size, number), *ends, np.full(sites.size, flow.tile_bytes / max(1, sites.size)))
            )
            continue
        sources = pmus[flow.source] if pmus[flow.source].size else pcus[flow.source]
        targets = pcus[flow.target] if pcus[flow.target].size else pmus[flow.target]
        if not sources.size or not targets.size:
            continue  # a stage without units: nothing to bring, nowhere to bring it
        if flow.multicast:
            parts += _multicast(number, flow, sources, targets, mesh)
        else:
            spreads.append((number, sources, targets))
    parts += _spread(spreads, flows, mesh)
    nothing = np.zeros(0, dtype=np.int64)
    of, source, target, size = (
        np.concatenate(column) for column in zip((nothing, nothing, nothing, np.zeros(0)), *parts, strict=True)
    )
    return Deliveries(flow=of, source=source, target=target, bytes=size)


def _multicast(
    number: int, stream: Stream, sources: Ints, targets: Ints, mesh: Mesh
) -> list[tuple[Ints, Ints, Ints, Floats]]:
    """Every holder's share to all readers of its part: once over the TLN for all readers elsewhere, who each get it."""
    root, part = holders_of(sources, targets, stream.parts)
    at, to = cross(part, readers_of(targets, stream.parts), int(part[-1]) + 1)
    near = mesh.tile_of(root[at]) == mesh.tile_of(targets[to])
    gone = root[np.bincount(at[~near], minlength=root.size) > 0]
    share = stream.sent_bytes / shares(sources, targets, stream.parts)
    got = targets[to[~near]]
    return [
        (np.full(of.size, number), of, by, np.full(of.size, share))
        for of, by in (
            (root[at[near]], targets[to[near]]),
            (gone, np.full(gone.size, mesh.switches)),
            (np.full(got.size, mesh.switches), got),
        )
    ]


def _spread(
    ends: Sequence[tuple[int, Ints, Ints]], flows: Sequence[Flow], mesh: Mesh
) -> list[tuple[Ints, Ints, Ints, Floats]]:
    pairs = spread([sources for _, sources, _ in ends], [targets for _, _, targets in ends])
    number = np.array([number for number, _, _ in ends], dtype=np.int64)
    share = np.array([flows[number].tile_bytes / (n.size * m.size) for number, n, m in ends], dtype=np.float64)
    flow, size = number[pairs.flow], pairs.count * share[pairs.flow]
    near = mesh.tile_of(pairs.source) == mesh.tile_of(pairs.target)
    memory = np.full(int((~near).sum()), mesh.switches, dtype=np.int64)
    return [
        (flow[near], pairs.source[near], pairs.target[near], size[near]),
        (flow[~near], pairs.source[~near], memory, size[~near]),
        (flow[~near], memory, pairs.target[~near], size[~near]),
    ]
