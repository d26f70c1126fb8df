from __future__ import annotations

from dataclasses import replace
from xml.etree import ElementTree

from rdusim.mapping.map_onto import map_onto
from rdusim.mapping.types import Mapping
from rdusim.report.memory_map import memory_map
from rdusim.report.memory_use import memory_use
from rdusim.sim.simulate import simulate
from rdusim.units import Bytes
from tests.mapping.programs import buffer, memory, program, section, stage, toy

PAGE = 4096
SVG = "{http://www.w3.org/2000/svg}"


def mapped() -> Mapping:
    sections = [
        section(f"x{at}", [stage(f"s{at}", 1, 1)], loads=[memory(name, f"s{at}") for name in names])
        for at, names in enumerate((("w", "a"), ("b",), ("c", "kept")))
    ]
    buffers = [
        buffer("w", 2 * PAGE, None, 9, "weight"), buffer("a", 4 * PAGE, (0, 0), 8), buffer("b", PAGE, (1, 1), 7),
        buffer("c", 3 * PAGE, (2, 2), 6), buffer("kept", PAGE, (0, 2), 1),
    ]  # fmt: skip
    made = replace(program(sections), buffers=tuple(buffers))
    hbm, *others = toy().socket.memory
    return map_onto(made, replace(toy(), socket=replace(toy().socket, memory=(hbm, *others))))


def test_use_over_sections_holes_and_reuse_are_counted() -> None:
    (use, *_) = memory_use(mapped(), toy())
    assert use.alive == (7 * PAGE, 4 * PAGE, 6 * PAGE)
    assert use.peak == use.extent == 7 * PAGE
    assert use.hole_bytes == 0
    assert use.reused_bytes == 4 * PAGE  # b and c lie where a lay


def test_the_picture_shows_every_piece_once_and_needs_no_script() -> None:
    mapping = mapped()
    for trace in (None, simulate(mapping, toy())):
        drawn = memory_map(mapping, toy(), title="a < b", trace=trace)
        root = ElementTree.fromstring(drawn)
        titles = [each.text or "" for each in root.iter(f"{SVG}title")]
        for name in ("w", "a", "b", "c", "kept"):
            assert sum(title.startswith(f"{name}: ") for title in titles) == 1
        assert "script" not in drawn
        assert drawn == memory_map(mapping, toy(), title="a < b", trace=trace)


def test_a_split_buffer_is_drawn_in_both_tiers() -> None:
    made = mapped()
    place = made.allocations["w"]
    far = replace(place, tier="ddr", offset=Bytes(0), size=Bytes(PAGE), first=1)
    split = replace(place, size=Bytes(PAGE), further=(far,))
    buffers = tuple(replace(each, repeats=2) if each.name == "w" else each for each in made.program.buffers)
    mapping = replace(
        made, program=replace(made.program, buffers=buffers), allocations={**made.allocations, "w": split}
    )
    drawn = memory_map(mapping, toy(), title="split")
    assert drawn.count("1 of 2 repeats") >= 2
