"""A floorplan holds every unit, every link that carries something, and the same bytes every time."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from collections import Counter
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from rdusim.arch.types import Arch
from rdusim.cli import main
from rdusim.graph.types import Compute
from rdusim.mapping.mesh import EAST, IN, SOUTH, mesh_of
from rdusim.mapping.types import Mapping
from rdusim.pipeline import RunRequest, Stages
from rdusim.report.floorplan import floorplan, widest
from rdusim.report.floorplan_style import _DARK, _HUES, _LIGHT, stage_colours
from rdusim.report.links import busiest, link_loads, link_name
from rdusim.sim.trace import Trace

SVG = "{http://www.w3.org/2000/svg}"
MOST_BYTES = 1_500_000


def drawn(text: str) -> ElementTree.Element:
    return ElementTree.fromstring(text)


def by_class(root: ElementTree.Element, name: str) -> list[ElementTree.Element]:
    return [each for each in root.iter() if name in each.get("class", "").split()]


def test_every_unit_stands_once_in_the_colour_of_its_stage(mapping: Mapping, trace: Trace, arch: Arch) -> None:
    decoder = mapping.sections[0]
    root = drawn(floorplan(decoder, arch, title="toy", timing=trace.sections[0]))
    units = next(group for group in root.iter(f"{SVG}g") if group.get("id") == "u")
    places = [(use.get("x"), use.get("y")) for use in units.iter(f"{SVG}use")]
    assert len(places) == len(set(places)) == arch.socket.pcus + arch.socket.pmus
    told = Counter(title.text or "" for group in by_class(root, "c1") for title in group.iter(f"{SVG}title"))
    assert told == {f"{kind} 0.0.{col}: 1 qkv": 1 for kind, cols in (("PCU", (0, 2)), ("PMU", (1, 3))) for col in cols}
    text = "".join(root.itertext())
    for said in ("die 0", "tile 0", "3 of 4 PCUs, 3 of 4 PMUs", "qkv", "q, k", "70%", "all-reduce", "AGCU 0 of tile 0"):
        assert said in text


def test_links_are_coloured_by_their_share_of_the_claimed_time(mapping: Mapping, arch: Arch) -> None:
    mesh = mesh_of(arch.socket)
    decoder = replace(mapping.sections[0], claimed=10.0)
    loads = link_loads(decoder, mesh)
    assert np.flatnonzero(loads.bytes).tolist() == [1, 2]
    assert loads.bytes[1] == 2 * 16 / mesh.vector_links  # two tiles of 16 bytes over parallel links
    assert loads.flows[loads.most[1]] == "qkv>sum"
    root = drawn(floorplan(decoder, arch, title="toy"))
    lines = [path for level in range(8) for group in by_class(root, f"h{level}") for path in group]
    assert len(lines) == 2
    assert "tile 0, row 0, col 0, east" in (lines[0].findtext(f"{SVG}title") or "")
    assert "traffic keeps to the right" in "".join(root.itertext())


def test_a_section_without_traffic_can_be_drawn(mapping: Mapping, arch: Arch) -> None:
    assert "nothing travels on it" in floorplan(mapping.sections[1], arch, title="toy")


def test_links_are_named_by_the_switch_that_they_leave(mapping: Mapping, arch: Arch) -> None:
    mesh = mesh_of(arch.socket)
    assert link_name(mesh.link(5, EAST), mesh) == "tile 0, row 1, col 1, east"
    assert link_name(mesh.link(0, SOUTH), mesh) == "tile 0, row 0, col 0, south"
    assert link_name(mesh.port(7, IN), mesh) == "tile 0, row 1, col 3, port in"
    loads = link_loads(mapping.sections[0], mesh)
    assert busiest(mapping.sections[0], loads, mesh) == 1
    assert busiest(replace(mapping.sections[0], busiest_link=2), loads, mesh) == 2


def test_neighbours_differ_in_colour_and_loads_in_lightness(mapping: Mapping) -> None:
    stage = mapping.program.sections[0].stages[0]
    many = [replace(stage, compute=(Compute.SYSTOLIC, Compute.SIMD)[number % 2]) for number in range(40)]
    colours = stage_colours(many)
    assert all(one != other for one, other in pairwise(colours))
    assert len({colour for hues in _HUES.values() for colour in hues}) == sum(map(len, _HUES.values()))

    def lightness(colour: str) -> float:
        red, green, blue = (int(colour[at : at + 2], 16) for at in (1, 3, 5))
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    assert all(lightness(one) > lightness(other) + 8 for one, other in pairwise(_LIGHT))
    assert all(lightness(one) + 8 < lightness(other) for one, other in pairwise(_DARK))


@pytest.mark.slow
def test_a_full_size_decoder_is_small_legible_and_the_same_every_time() -> None:
    stages = Stages(RunRequest(model="llama-2-7b"))
    mapping = stages.mapping(stages.shape())
    name = widest(mapping.program)
    assert name == "decoder"
    mapped = next(each for each in mapping.sections if each.section.name == name)
    text = floorplan(mapped, stages.arch, title="llama-2-7b")
    assert text == floorplan(mapped, stages.arch, title="llama-2-7b")
    assert len(text) < MOST_BYTES
    root = drawn(text)
    numbers = {each.text for each in by_class(root, "n")}
    assert numbers == {str(number) for number in range(1, len(mapped.section.stages) + 1)}
    lines = sum(len(group) for level in range(8) for group in by_class(root, f"h{level}"))
    routes = mapped.routes.values()
    pairs = (pair for route in routes for pair in zip(route.links, route.tile_load, strict=True))
    assert lines == len({link for link, load in pairs if load})


def test_explain_writes_the_floorplan_and_nothing_else(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "toy.svg"
    with pytest.raises(SystemExit) as end:
        main(["explain", "toy-mlp", "--arch", "toy", "--floorplan", str(file)])
    assert (end.value.code, capsys.readouterr().out) == (0, "")
    assert re.search("toy-mlp, section toy-mlp: [1-8] of 8 PCUs", file.read_text())


def test_a_floorplan_before_the_map_and_beside_json_is_refused_with_all_problems(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        main(["explain", "toy-mlp", "--after", "lower", "--json", "--floorplan", str(tmp_path / "toy.png")])
    said = capsys.readouterr().err
    assert end.value.code == 2
    for part in ("toy.png has no known ending", "nothing has a place yet", "nothing is printed beside"):
        assert part in said
