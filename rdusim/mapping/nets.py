"""Nets of a route as columns: a sequence of Net objects, made when they are looked at."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import overload

import numpy as np

from rdusim.mapping.mesh import Floats, Ints
from rdusim.mapping.types import Net


class Nets(Sequence[Net]):
    """Net n: `source[n]`, `bytes[n]`, `target[first_target[n] : first_target[n + 1]]`, links likewise."""

    __slots__ = ("bytes", "first_link", "first_target", "link", "source", "target")

    def __init__(
        self, source: Ints, bytes_: Floats, first_target: Ints, target: Ints, first_link: Ints, link: Ints
    ) -> None:
        self.source, self.bytes = source, bytes_
        self.first_target, self.target = first_target, target
        self.first_link, self.link = first_link, link

    def __len__(self) -> int:
        return self.source.size

    @overload
    def __getitem__(self, index: int) -> Net: ...

    @overload
    def __getitem__(self, index: slice) -> tuple[Net, ...]: ...

    def __getitem__(self, index: int | slice) -> Net | tuple[Net, ...]:
        if isinstance(index, slice):
            return tuple(self[at] for at in range(*index.indices(len(self))))
        at = range(len(self))[index]
        return Net(
            source=int(self.source[at]),
            targets=tuple(self.target[self.first_target[at] : self.first_target[at + 1]].tolist()),
            links=tuple(self.link[self.first_link[at] : self.first_link[at + 1]].tolist()),
            bytes=float(self.bytes[at]),
        )

    def __iter__(self) -> Iterator[Net]:
        return (self[at] for at in range(len(self)))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and len(self) == len(other) and _equal(self, columns(other))

    def __hash__(self) -> int:
        return hash((len(self), self.link.tobytes(), self.bytes.tobytes()))

    def __repr__(self) -> str:
        return repr(tuple(self))


def columns(nets: Sequence[Net]) -> Nets:
    """Any nets as columns."""
    if isinstance(nets, Nets):
        return nets
    return Nets(
        np.array([net.source for net in nets], dtype=np.int64),
        np.array([net.bytes for net in nets], dtype=np.float64),
        np.cumsum([0, *(len(net.targets) for net in nets)]),
        np.array([target for net in nets for target in net.targets], dtype=np.int64),
        np.cumsum([0, *(len(net.links) for net in nets)]),
        np.array([link for net in nets for link in net.links], dtype=np.int64),
    )


def _equal(one: Nets, other: Nets) -> bool:
    return all(np.array_equal(getattr(one, name), getattr(other, name)) for name in Nets.__slots__)
