from __future__ import annotations

from collections import Counter
from dataclasses import fields, is_dataclass, replace
from typing import get_args, get_origin, get_type_hints

import pytest

from rdusim.arch import types
from rdusim.arch.load import load_arch, load_arch_with_origins
from rdusim.arch.structure import PARTITION, FieldKind, differences, leaf_of
from rdusim.arch.types import Arch
from rdusim.units import Seconds


def values_of_the_machine() -> set[tuple[type, str]]:
    """Every field of arch/types.py that is no group of fields."""
    classes = [each for each in vars(types).values() if isinstance(each, type) and is_dataclass(each)]
    found = set()
    for owner in classes:
        hints = get_type_hints(owner)
        for field in fields(owner):
            kinds = {hints[field.name], *get_args(hints[field.name])}
            if not any(is_dataclass(kind) for kind in kinds) and get_origin(hints[field.name]) is not tuple:
                found.add((owner, field.name))
    return found


def test_every_field_of_the_machine_is_structure_or_rate_exactly_once() -> None:
    named = Counter((owner, name) for owner, _, names, _ in PARTITION for name in names)
    assert set(named) == values_of_the_machine()
    assert named.most_common(1)[0][1] == 1
    assert all(reason for _, _, _, reason in PARTITION)


@pytest.mark.parametrize("name", ["sn40l", "sn40l-x16", "sn50-x256", "toy"])
def test_every_path_of_a_machine_is_a_field_that_the_types_know(name: str) -> None:
    _, origins = load_arch_with_origins(name)
    assert [path for path in origins if leaf_of(path) is None] == []


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("socket.memory.hbm.bandwidth", FieldKind.RATE),
        ("socket.memory.hbm.capacity", FieldKind.STRUCTURE),
        ("socket.memory.hbm.timing.row_cycle", FieldKind.RATE),
        ("socket.tile.pcu.macs_per_cycle.bf16", FieldKind.RATE),
        ("socket.tile.pmu.capacity", FieldKind.STRUCTURE),
        ("system.topology", FieldKind.STRUCTURE),
        ("system.topology.outer_link.bandwidth", FieldKind.RATE),
    ],
)
def test_a_path_is_of_the_kind_of_its_field(path: str, kind: FieldKind) -> None:
    leaf = leaf_of(path)
    assert leaf is not None and leaf.kind is kind


@pytest.mark.parametrize("path", ["socket.memory.hbm.bandwith", "socket.nothing.at.all", "nothing", "name.more"])
def test_what_no_machine_has_is_no_field(path: str) -> None:
    assert leaf_of(path) is None


def with_latency(arch: Arch, seconds: float) -> Arch:
    link = replace(arch.system.link, latency=Seconds(seconds))
    return replace(arch, system=replace(arch.system, link=link))


def test_machines_that_differ_in_rates_have_the_same_structure() -> None:
    arch = load_arch("sn40l")
    assert differences(arch, with_latency(arch, 1.0)) == []
    other = load_arch("sn40l", ("socket.memory.ddr.bandwidth=100GB/s", "launch.execute=9us"))
    assert differences(arch, other) == []


def test_differences_of_structure_are_named_by_path() -> None:
    arch = load_arch("sn40l")
    other = load_arch("sn40l", ("socket.tile.pmu.capacity=1MiB", "system.topology=ring", "socket.clock=1GHz"))
    assert differences(arch, other) == ["socket.tile.pmu.capacity", "system.topology.kind"]
