"""Timing of a memory by name: `timing: hbm2e` or `timing: {preset: hbm2e, row_cycle: 50 ns}`; arch/dram/*.yaml."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from difflib import get_close_matches
from typing import Final

from rdusim.arch.build import build
from rdusim.arch.check import check_part
from rdusim.arch.merge import merge
from rdusim.arch.source import Place, Scalar, Table, read_table
from rdusim.arch.types import DramTiming
from rdusim.errors import ArchError, Problem
from rdusim.shipped import shipped
from rdusim.units import BytesPerSecond, dimension_of, parse

SCHEMA: Final = "rdusim-dram/1"
PRESET: Final = "preset"

_HEAD: Final = ("schema", "name", "peak")  # what a file of arch/dram/ says besides timing


def presets() -> tuple[str, ...]:
    """Names that `timing` of a memory may give; sorted."""
    return tuple(sorted(path.stem for path in (shipped("arch") / "dram").glob("*.yaml")))


def preset_timing(name: str) -> tuple[DramTiming, BytesPerSecond]:
    """Timing of a channel and its peak. Raises ArchError for a name that is not known or a file that is wrong."""
    if name not in presets():
        raise ArchError(Problem(message=f"there is no timing {name!r}", hint=_known(name)))
    table, problems = _read(name)
    timing, wrong = build(DramTiming, _without(table, _HEAD), check_part)
    peak = table.items.get("peak")
    if problems or wrong or timing is None or not isinstance(peak, Scalar):
        raise ArchError(*problems, *wrong, *([] if peak else [table.place.problem("missing field", field="peak")]))
    dimension = dimension_of(BytesPerSecond)
    assert dimension is not None
    return timing, BytesPerSecond(parse(peak.text, dimension))


def with_presets(table: Table) -> tuple[Table, list[Problem]]:
    """The tree of one file with every named timing written out, its own values laid over; and what is wrong.

    A file's preset covers all that the file which it extends says of this memory.
    """
    problems: list[Problem] = []

    def expanded(timing: Scalar | Table, path: str) -> Scalar | Table | None:
        found, wrong = _expanded(timing, path)
        problems.extend(wrong)
        return found

    tiers = _table(_table(table, "socket"), "memory")
    changed: dict[str, Scalar | Table] = {
        name: _put(tier, "timing", expanded(tier.items["timing"], f"socket.memory.{name}.timing"))
        for name, tier in tiers.items.items()
        if isinstance(tier, Table) and "timing" in tier.items
    }
    if not changed:
        return table, problems
    memory = replace(tiers, items=tiers.items | changed)
    return _put(table, "socket", _put(_table(table, "socket"), "memory", memory)), problems


def _expanded(timing: Scalar | Table, path: str) -> tuple[Scalar | Table | None, list[Problem]]:
    """None where the name is wrong: then nothing else needs to be said of this timing."""
    if isinstance(timing, Scalar):
        if timing.kind == "null" and not timing.quoted:
            return timing, []
        preset, own = timing, Table(place=timing.place)
    elif PRESET not in timing.keys:
        return timing, []
    else:
        found = timing.items.get(PRESET)
        if found is None:
            return None, []  # it was refused when the file was read
        if not isinstance(found, Scalar):
            hint = f"one of {', '.join(presets())}"
            return None, [timing.keys[PRESET].problem("a name is wanted", field=f"{path}.{PRESET}", hint=hint)]
        preset, path, own = found, f"{path}.{PRESET}", _without(timing, (PRESET,))
    if preset.text not in presets():
        message = f"there is no timing {preset.text!r}"
        return None, [preset.place.problem(message, field=path, hint=_known(preset.text))]
    base, problems = _read(preset.text)
    merged = merge(_without(base, _HEAD), own)
    # A group is where the user wrote it, whatever file its values stand in.
    return replace(merged, place=own.place), problems


def _known(name: str) -> str:
    near = get_close_matches(name, presets(), n=1)
    meant = f"did you mean {near[0]}? " if near else ""
    return f"{meant}known: {', '.join(presets())}; or write out the values of arch.DramTiming"


def _read(name: str) -> tuple[Table, list[Problem]]:
    """A file of arch/dram/."""
    shown = f"arch/dram/{name}.yaml"
    table, problems = read_table((shipped("arch") / "dram" / f"{name}.yaml").read_text(encoding="utf-8"), shown)
    schema = table.items.get("schema")
    if not problems and (not isinstance(schema, Scalar) or schema.text != SCHEMA):
        problems = [table.place.problem(f"not of the schema {SCHEMA}", field="schema")]
    return table, problems


def _table(table: Table, key: str) -> Table:
    found = table.items.get(key)
    return found if isinstance(found, Table) else Table(place=Place(file=table.place.file))


def _put(table: Table, key: str, value: Scalar | Table | None) -> Table:
    """`value` in its place; None leaves the key there without a value: it was refused already."""
    items: Mapping[str, Scalar | Table] = table.items
    kept = {name: found for name, found in items.items() if name != key or value is not None}
    return replace(table, items=kept if value is None else kept | {key: value})


def _without(table: Table, names: tuple[str, ...]) -> Table:
    return replace(
        table,
        items={key: value for key, value in table.items.items() if key not in names},
        keys={key: place for key, place in table.keys.items() if key not in names},
    )
