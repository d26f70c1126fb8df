"""What of a machine a compiler builds on, and what is only pace: which fields a program has to be compiled again for.

Structure is how many there are, how large, and how joined: it decides what is legal to place, route and allocate. Rates
are how quick: a program compiled at other rates still runs, if not always as well as one made for them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from enum import StrEnum
from types import NoneType, UnionType
from typing import Any, Final, Union, cast, get_args, get_origin, get_type_hints

from rdusim.arch import types
from rdusim.arch.types import Arch


class FieldKind(StrEnum):
    STRUCTURE = "structure"
    RATE = "rate"


_S, _R = FieldKind.STRUCTURE, FieldKind.RATE

# Every field of the machine that is a value of its own, once, and why it stands where it does.
PARTITION: Final[tuple[tuple[type, FieldKind, tuple[str, ...], str], ...]] = (
    (types.Arch, _S, ("name",), "another name is another machine"),
    (types.Socket, _S, ("dies", "tiles_per_die", "placeable"), "units that there are to place on"),
    (types.Socket, _R, ("clock",), "a mapping counts cycles"),
    (types.Tile, _S, ("rows", "cols", "agcus"), "the mesh that is placed and routed on"),
    (
        types.Pcu,
        _S,
        ("lanes", "stages", "systolic_rows", "systolic_cols", "vector_ports"),
        "a stage's grid of PCUs is cut to the array, its operands to the ports",
    ),
    (types.Pcu, _R, ("macs_per_cycle", "vector_bytes", "tail_latency"), "cycles of a tile whose cut stays legal"),
    (types.Pmu, _S, ("capacity", "banks"), "buffers are laid into banks"),
    (types.Pmu, _R, ("read_bytes_per_cycle", "write_bytes_per_cycle", "latency"), "pace of a port"),
    (types.Agcu, _S, ("outstanding_requests", "request_size", "streams"), "contexts and requests are given out"),
    (types.Agcu, _R, ("bytes_per_cycle",), "pace of a port"),
    (types.Rdn, _S, ("vector_links", "credits"), "links that are routed over, and places in their switches"),
    (types.Rdn, _R, ("vector_bytes_per_cycle", "scalar_bytes_per_cycle", "hop_cycles"), "pace of a link"),
    (types.Tln, _R, ("bytes_per_cycle", "hop_cycles"), "pace of the network"),
    (types.DieToDie, _R, ("bytes_per_cycle", "hop_cycles"), "pace of the link"),
    (types.MemoryTier, _S, ("name", "capacity", "channels"), "symbols are allocated in it"),
    (types.MemoryTier, _R, ("bandwidth", "latency", "copy_share"), "pace of the memory"),
    (
        types.DramTiming,
        _S,
        ("burst", "row", "banks", "bank_groups", "queue", "write_batch"),
        "how bytes lie in the memory, and what its controller holds",
    ),
    (
        types.DramTiming,
        _R,
        (
            "row_cycle",
            "refresh_interval",
            "refresh_time",
            "precharge",
            "row_to_column",
            "column_same_group",
            "row_to_row",
            "row_to_row_same_group",
            "four_activates",
            "read_to_precharge",
            "write_recovery",
            "read_latency",
            "write_latency",
            "write_to_read",
            "read_to_write",
        ),
        "times between commands",
    ),
    (types.System, _S, ("sockets", "ports"), "sockets that the model is cut over"),
    (
        types.Layout,
        _S,
        ("kind", "dims", "node", "nodes", "inner", "outer", "outer_ports", "switches"),
        "how sockets are joined",
    ),
    (types.Edge, _S, ("name",), "how sockets are joined"),
    (types.Edge, _R, ("bandwidth", "latency"), "pace of a link"),
    (types.Link, _R, ("bandwidth", "latency"), "pace of a link"),
    (types.Host, _R, ("bandwidth", "latency"), "pace of a link"),
    (
        types.LaunchCosts,
        _R,
        ("program_bytes_per_unit", "program_load_bandwidth", "argument_bytes_per_stream", "execute", "host_call"),
        "what a start takes: nothing is placed for it",
    ),
)

_KIND: Final[Mapping[tuple[type, str], FieldKind]] = {
    (owner, name): kind for owner, kind, names, _ in PARTITION for name in names
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaf:
    """A field that a path names: its class, its name there, and the type of its value (of a group with a kind, it)."""

    owner: type
    name: str
    hint: Any

    @property
    def kind(self) -> FieldKind:
        """A group whose kind is changed is joined or built in another way."""
        return _KIND.get((self.owner, self.name), FieldKind.STRUCTURE)


def leaf_of(path: str) -> Leaf | None:
    """What `socket.memory.hbm.bandwidth` is by the types of the machine; None where no machine has such a field."""
    owner: type = Arch
    name: str = ""
    hint: Any = Arch
    keys = path.split(".")
    while keys:
        if is_dataclass(hint):
            owner, name = cast("type", hint), keys.pop(0)
            found = get_type_hints(owner).get(name)
            if found is None:
                return None
            hint = _given(found)
        elif get_origin(hint) in (tuple, Mapping):
            keys.pop(0)  # the name of one of them
            hint = get_args(hint)[0] if get_origin(hint) is tuple else get_args(hint)[1]
        else:
            return None
    return Leaf(owner=owner, name=name, hint=hint)


def differences(one: Arch, other: Arch) -> list[str]:
    """Paths of the fields of structure in which they differ."""
    here, there = _structure(one), _structure(other)
    return [path for path in {**here, **there} if here.get(path) != there.get(path)]


def _structure(arch: Arch) -> dict[str, object]:
    return dict(_walk(arch, ""))


def _walk(part: Any, path: str) -> Iterator[tuple[str, object]]:
    """Fields of structure, by path; that a group is there, and in which order groups stand, is structure too."""
    for field in fields(part):
        value, inner = getattr(part, field.name), f"{path}.{field.name}" if path else field.name
        if is_dataclass(value):
            yield inner, type(value).__name__
            yield from _walk(value, inner)
        elif isinstance(value, tuple):
            yield inner, tuple(each.name for each in value)
            for each in value:
                yield from _walk(each, f"{inner}.{each.name}")
        elif _KIND.get((type(part), field.name), FieldKind.STRUCTURE) is FieldKind.STRUCTURE:
            yield inner, value


def _given(hint: Any) -> Any:
    """What a field that may be left out (`X | None`) is when it is given."""
    kinds = [kind for kind in get_args(hint) if kind is not NoneType]
    return kinds[0] if get_origin(hint) in (Union, UnionType) else hint
