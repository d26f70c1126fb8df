"""Between the sockets of a group: inserted by sharding, never written by a model.

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


def _met(operator: Operator) -> tuple[str, ...]:
    """Axes along which parts of sockets meet or part: a tile of them would be another tile on every socket."""
    return (*_labels(operator, "gathered"), *_labels(operator, "scattered"))


def _labels(operator: Operator, attribute: str) -> tuple[str, ...]:
    labels = operator.attributes.get(attribute, ())
    assert isinstance(labels, tuple)
    return tuple(str(label) for label in labels)


# Attributes besides `participants` and `stride`: what each needs.
_NEEDS: Final[Mapping[str, tuple[str, ...]]] = {
    "all_reduce": (),
    "all_gather": (),
    "reduce_scatter": ("scattered",),
    "all_to_all": ("scattered", "gathered"),
    "broadcast": (),
    "send_receive": (),
}
SPECS: Final[Mapping[str, OperatorSpec]] = MappingProxyType(
    {
        kind: OperatorSpec(
            kind=kind,
            compute=Compute.COLLECTIVE,
            operands=(1, 2),
            whole=_met,
            attributes=("participants", *needs),
            numpy=_same,
        )
        for kind, needs in _NEEDS.items()
    }
)
