"""Microbenchmark files: the shipped ones, and what is said about wrong ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from rdusim.errors import RdusimError
from rdusim.mapping.types import SiteKind
from rdusim.pipeline.micro import load_micro

MICROS = Path(__file__).parents[2] / "experiments" / "micro"
NAMES = sorted(path.stem for path in MICROS.glob("*.yaml") if path.stem != "small")

GOOD = """\
schema: rdusim-micro/1
name: good
arch: toy
section:
  tiles: 4
  stages:
    a: {pcus: 1, pmus: 1, simd: {elements: 64}}
    b: {pcus: 1, pmus: 1, simd: {elements: 64}}
  streams:
    ab: {from: a, to: b, tile_bytes: 128}
"""


def written(text: str, tmp_path: Path) -> Path:
    path = tmp_path / "made.yaml"
    path.write_text(text)
    return path


def problems(text: str, tmp_path: Path) -> list[str]:
    with pytest.raises(RdusimError) as caught:
        load_micro(written(text, tmp_path))
    return [str(problem).split("made.yaml:")[-1] for problem in caught.value.problems]


@pytest.mark.parametrize("name", NAMES)
def test_every_shipped_micro_is_mapped_and_says_what_it_is_about(name: str) -> None:
    found = load_micro(MICROS / f"{name}.yaml")
    assert found.name == name and len(found.about) > 20
    assert found.arch.socket.tile.rows <= 8 and found.arch.socket.tile.cols <= 8
    assert found.mapping.sections


def test_the_readme_lists_every_shipped_micro() -> None:
    text = (MICROS / "README.md").read_text()
    assert [name for name in NAMES if f"`{name}`" not in text] == []


def test_a_section_by_hand_becomes_a_program_with_defaults(tmp_path: Path) -> None:
    text = (
        GOOD + "  loads:\n    x: {stage: a, tile_bytes: 100}\n  stores:\n    y: {stage: b, tile_bytes: 64, tiles: 1}\n"
    )
    section = load_micro(written(text, tmp_path)).mapping.program.sections[0]
    (stream,), (load,), (store,) = section.streams, section.loads, section.stores
    assert (stream.tiles, stream.depth, stream.multicast, stream.resident) == (4, 2, False, False)
    assert (load.tiles, load.prefetch, load.agcus, load.contiguous) == (4, 200, 1, 100)
    assert (store.tiles, store.prefetch) == (1, 64)
    assert [stage.tiles for stage in section.stages] == [4, 4]


def test_explicit_sites_are_taken(tmp_path: Path) -> None:
    at = "at: {pcus: [[0, 2, 2]], pmus: [[0, 3, 2]]}"
    text = GOOD.replace("b: {pcus: 1, pmus: 1,", f"b: {{pcus: 1, pmus: 1, {at},")
    placed = load_micro(written(text, tmp_path)).mapping.sections[0].placements
    (pcu,) = placed[1].pcus
    assert (pcu.tile, pcu.row, pcu.col, pcu.kind) == (0, 2, 2, SiteKind.PCU)


def test_sites_that_do_not_exist_are_refused(tmp_path: Path) -> None:
    at = "at: {pcus: [[0, 2, 3]], pmus: [[0, 3, 2]]}"
    said = problems(GOOD.replace("b: {pcus: 1, pmus: 1,", f"b: {{pcus: 1, pmus: 1, {at},"), tmp_path)
    assert any("PCU" in line or "pcu" in line.lower() for line in said)


@pytest.mark.parametrize(("banks", "same"), [("one", True), ("two", False)])
def test_banks_puts_copies_of_a_buffer_into_one_bank_or_two(banks: str, same: bool, tmp_path: Path) -> None:
    found = load_micro(written(GOOD + f"banks: {banks}\n", tmp_path))
    pmu = found.arch.socket.tile.pmu
    first, second = (held.offset // (pmu.capacity // pmu.banks) for held in found.mapping.sections[0].sram["ab"])
    assert (first == second) is same


def test_a_buffer_larger_than_a_bank_cannot_be_put_into_one(tmp_path: Path) -> None:
    said = problems(GOOD.replace("tile_bytes: 128", "tile_bytes: 20000") + "banks: one\n", tmp_path)
    assert "a bank has 16384" in said[0]


def test_a_graph_is_lowered_from_the_file_or_from_beside_it(tmp_path: Path) -> None:
    graph = (
        "schema: rdusim-graph/1\n"
        "tensors:\n  x: {role: input, shape: [8, 16]}\n  w: {role: weight, shape: [16, 8]}\n"
        "operators:\n  gemm: linear x[m,k], w[k,n] -> y[m,n]\n"
    )
    (tmp_path / "graph.yaml").write_text(graph)
    head = "schema: rdusim-micro/1\nname: g\narch: toy\ngraph:"
    beside = load_micro(written(f"{head} graph.yaml\n", tmp_path))
    inside = load_micro(written(head + "\n" + "".join(f"  {line}\n" for line in graph.splitlines()), tmp_path))
    (one,), (other,) = beside.mapping.program.sections, inside.mapping.program.sections
    assert one.stages == other.stages and one.loads == other.loads and one.stores == other.stores


def test_overrides_change_the_machine(tmp_path: Path) -> None:
    found = load_micro(written(GOOD + "set: [socket.tile.rdn.credits=9]\n", tmp_path))
    assert found.arch.socket.tile.rdn.credits == 9


def test_all_problems_of_a_file_are_told_at_once_with_their_lines(tmp_path: Path) -> None:
    text = (
        GOOD.replace("pcus: 1, pmus: 1, simd: {elements: 64}}\n    b", "pcus: -1, pmus: 1, simd: {}}\n    b")
        .replace("to: b", "to: c")
        .replace("  tiles: 4", "  tiles: many")
    )
    said = problems(text + "bank: one\n", tmp_path)
    assert [line.split(":")[0] for line in said] == ["5", "7", "7", "10", "11"]
    assert "'many' is no such number" in said[0]
    assert "section.stages.a.pcus" in said[1] and "elements: is missing" in said[2]
    assert "'c' is not known" in said[3]
    assert "did you mean" in said[4] and "banks" in said[4]


def test_wrong_machines_schemas_and_shapes_of_the_file_are_problems(tmp_path: Path) -> None:
    assert "rdusim-micro/1" in problems(GOOD.replace("rdusim-micro/1", "rdusim-micro/7"), tmp_path)[0]
    assert "nowhere.yaml" in problems(GOOD.replace("arch: toy", "arch: nowhere.yaml"), tmp_path)[0]
    assert any("credit" in line for line in problems(GOOD + "set: [socket.tile.rdn.credit=9]\n", tmp_path))
    both = problems(GOOD + "graph: x.yaml\n", tmp_path)
    assert "either 'graph' or 'section'" in both[0]
    assert (
        "either simd or systolic"
        in problems(
            GOOD.replace("simd: {elements: 64}}\n    b", "simd: {elements: 64}, systolic: {m: 1, n: 1, k: 1}}\n    b"),
            tmp_path,
        )[0]
    )


def test_a_buffer_of_depth_0_is_allowed(tmp_path: Path) -> None:
    found = load_micro(written(GOOD.replace("tile_bytes: 128", "tile_bytes: 128, depth: 0"), tmp_path))
    assert found.mapping.program.sections[0].streams[0].depth == 0


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("    x: {from: b, to: a, tile_bytes: 128}", "goes back from 'b' to 'a'"),
        ("    x: {from: a, to: b, tile_bytes: 128, tiles: 3}", "has 3 tiles, and stage 'a' fires 4 times"),
    ],
)
def test_what_could_never_run_is_refused_with_its_place(tmp_path: Path, change: str, said: str) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(
        "schema: rdusim-micro/1\nsection:\n  tiles: 4\n  stages:\n"
        "    a: {pcus: 1, pmus: 1, simd: {elements: 64}}\n    b: {pcus: 1, pmus: 1, simd: {elements: 64}}\n"
        f"  streams:\n{change}\n"
    )
    with pytest.raises(RdusimError, match=said) as caught:
        load_micro(file)
    assert caught.value.problems[0].line == 8


def test_a_site_outside_the_mesh_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(
        "schema: rdusim-micro/1\nsection:\n  stages:\n"
        "    a: {pcus: 1, pmus: 1, simd: {elements: 64}, at: {pcus: [[0, 9, 0]], pmus: [[0, 0, 1]]}}\n"
    )
    with pytest.raises(RdusimError, match="row 9"):
        load_micro(file)
