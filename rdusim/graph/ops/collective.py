"""Between the sockets of a tensor-parallel group: inserted by sharding, never written by a model.

Their NumPy meaning is that of one socket alone, whose part is the whole.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from rdusim.graph.ops.spec import OperatorSpec
from rdusim.graph.types import Compute, Operator

if TYPE_CHECKING:
    from rdusim.graph.ops.spec import Array


def _same(operator: Operator, arrays: Sequence[Array]) -> tuple[Array, ...]:
    return tuple(arrays)


def _gathered(operator: Operator) -> tuple[str, ...]:
    """Axes along which parts of sockets meet: a tile of them would be another tile on every socket."""
    labels = operator.attributes.get("gathered", ())
    assert isinstance(labels, tuple)
    return tuple(str(label) for label in labels)


SPECS: Final[Mapping[str, OperatorSpec]] = MappingProxyType(
    {
        kind: OperatorSpec(
            kind=kind,
            compute=Compute.COLLECTIVE,
            operands=(1, 2),
            whole=_gathered,
            attributes=("participants",),
            numpy=_same,
        )
        for kind in ("all_reduce", "all_gather")
    }
)
