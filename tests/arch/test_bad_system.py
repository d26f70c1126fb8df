"""Sockets that cannot be joined as the file says: every reason with its line, before anything runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from rdusim.arch.load import load_arch
from rdusim.errors import ArchError

CUSTOM = """schema: rdusim-arch/1
name: odd
extends: toy
system:
  sockets: 4
  topology:
    kind: custom
    links:
      0-1: {}
      1-2: {bandwidth: 5 GB/s, latency: 2 us}
      2-3: {bandwidth: 20 GB/s}
"""


def problems(tmp_path: Path, text: str, *overrides: str) -> list[str]:
    path = tmp_path / "odd.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ArchError) as caught:
        load_arch(path, overrides)
    return [str(problem).removeprefix(f"{tmp_path}/") for problem in caught.value.problems]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (
            "      2-3: {bandwidth: 20 GB/s}\n",
            "",
            "odd.yaml:6:3: system.topology: no way leads from socket 0 to socket 3 "
            "(add links, or lower system.sockets)",
        ),
        (
            "2-3: {b",
            "2-7: {b",
            "odd.yaml:11:7: system.topology.links.2-7: there is no node 7 "
            "(nodes are 0 to 3: sockets, then switches (system.topology.switches))",
        ),
        ("2-3: {b", "2-2: {b", "odd.yaml:11:7: system.topology.links.2-2: '2-2' does not name two different nodes"),
        ("2-3: {b", "2to3: {b", "odd.yaml:11:7: system.topology.links.2to3: '2to3' does not name two different nodes"),
        ("2-3: {b", "1-0: {b", "odd.yaml:11:7: system.topology.links.1-0: joins what 0-1 joins (each goes both ways)"),
        (
            "2 us",
            "-2 us",
            "odd.yaml:10:41: system.topology.links.1-2.latency: '-2 us' must not be negative",
        ),
        (
            "20 GB/s",
            "0 GB/s",
            "odd.yaml:11:24: system.topology.links.2-3.bandwidth: '0 GB/s' must be greater than zero",
        ),
        ("    kind: custom\n", "", "odd.yaml:6:3: system.topology.kind: missing field"),
        ("custom", "star", "odd.yaml:6:3: system.topology: unknown topology 'star' (known: full_mesh, ring, torus,"),
        (
            "custom",
            "ring",
            "odd.yaml:8:5: system.topology.links: ring has no such field (custom has it)",
        ),
        (
            "    links:\n",
            "    node: 3\n    links:\n",
            "odd.yaml:8:11: system.topology.node: custom has no such field (two_level has it)",
        ),
    ],
)
def test_a_wrong_edge_is_named_with_its_line(tmp_path: Path, old: str, new: str, expected: str) -> None:
    assert old in CUSTOM
    assert problems(tmp_path, CUSTOM.replace(old, new))[0].startswith(expected)


@pytest.mark.parametrize(
    ("machine", "overrides", "expected"),
    [
        ("toy", ["system.topology=star"], "unknown topology 'star'"),
        ("toy", ["system.topology=two_level", "system.sockets=7"], "cannot be made of 7 sockets, an odd number"),
        ("toy", ["system.topology=two_level", "system.sockets=12"], "nodes of 8 do not divide 12 sockets"),
        ("sn50", ["system.topology.node=5", "system.sockets=16"], "nodes of 5 do not divide 16 sockets"),
        ("sn50", ["system.sockets=512"], "512 sockets are 64 nodes of 8: more than 32"),
        ("sn50", ["system.topology.outer=mesh", "system.sockets=64"], "system.topology.outer: unknown topology 'mesh'"),
        ("sn40l", ["system.sockets=64"], "full_mesh of 64: socket 0 has 63 links and 10 ports"),
        ("sn40l", ["system.sockets=1000000"], "1000000 is more than this rdusim knows how to join"),
        ("sn40l", ["system.link.latency=-1us"], "'-1us' must not be negative"),
        ("sn40l", ["system.link.bandwidth=0 GB/s"], "'0 GB/s' must be greater than zero"),
        ("sn50", ["system.topology.outer_link.latency=-1us"], "system.topology.outer_link.latency: '-1us' must not be"),
    ],
)
def test_a_layout_that_cannot_be_built_says_why_and_what_else_there_is(
    machine: str, overrides: list[str], expected: str
) -> None:
    with pytest.raises(ArchError) as caught:
        load_arch(machine, overrides)
    assert expected in str(caught.value)


def test_a_torus_has_the_sockets_of_its_dimensions(tmp_path: Path) -> None:
    torus = CUSTOM[: CUSTOM.index("    kind")] + "    kind: torus\n    dims: 2x3\n"
    assert problems(tmp_path, torus)[0].startswith("odd.yaml:6:3: system.topology: torus: a torus of 2x3 has 6 sockets")
    assert "'2xb' are no dimensions" in problems(tmp_path, torus.replace("2x3", "2xb"))[0]
    assert load_arch(tmp_path / "odd.yaml", ["system.topology.dims=2x2"]).system.topology.dims == "2x2"


@pytest.mark.parametrize("sockets", [1, 2, 4, 8, 16, 32, 64, 256])
@pytest.mark.parametrize("machine", ["sn50", "sn40l-x16", "toy"])
def test_shipped_machines_grow(machine: str, sockets: int) -> None:
    assert load_arch(machine, [f"system.sockets={sockets}"]).system.sockets == sockets
    assert load_arch("sn40l", [f"system.sockets={sockets}", "system.topology=two_level"]).system.sockets == sockets


def test_a_topology_may_be_replaced_by_the_name_of_another_kind(tmp_path: Path) -> None:
    child = tmp_path / "child.yaml"
    child.write_text(
        "schema: rdusim-arch/1\nname: child\nextends: sn50\nsystem: {topology: {kind: torus, dims: 2x4}}\n"
    )
    layout = load_arch(child).system.topology
    assert (layout.kind, layout.dims, layout.node) == ("torus", "2x4", None)
    assert load_arch(child, ["system.topology=ring"]).system.topology.dims is None
