"""Mixtures of experts: who is chosen, tokens gathered for each expert hit, products with its weights, and back.

Labels by position: experts lie along axis w of a weight, places for active experts along e, slots of one along t. With
experts cut over groups of sockets, an axis x of groups stands in front of each. Index -1 stands for an empty slot.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from rdusim.graph.ops.move import changed
from rdusim.graph.ops.spec import OperatorSpec, spread
from rdusim.graph.types import Compute, Operator

if TYPE_CHECKING:
    from rdusim.graph.ops.spec import Array


def _folded(operator: Operator) -> tuple[str, ...]:
    """Labels of the first operand that the result lacks."""
    return tuple(label for label in operator.inputs[0].dims if label not in operator.outputs[0].dims)


def _routed(operator: Operator) -> tuple[tuple[str, ...], str]:
    """By position: a token's slots are the last axis of the second result of `route` or operand of `dispatch`."""
    if operator.kind == "route":
        return operator.inputs[0].dims[:-1], operator.outputs[1].dims[-1]
    if operator.kind == "dispatch":
        return _folded(operator), operator.inputs[1].dims[-1]
    rows, _, slots = operator.inputs
    outside = operator.outputs[0].dims
    return tuple(label for label in slots.dims if label in outside), [d for d in rows.dims if d not in outside][-1]


def _last(array: Array, dims: tuple[str, ...], labels: tuple[str, ...]) -> Array:
    """The axes `labels` put behind the others and taken as one."""
    rest = tuple(label for label in dims if label not in labels)
    moved = spread(array, dims, (*rest, *labels))
    return moved.reshape(*moved.shape[: len(rest)], -1)


def _topk(operator: Operator, arrays: Sequence[Array]) -> tuple[Array, ...]:
    """The largest values over the labels that the output lacks, largest first, of equals the first; and their places.

    A place is linear over these labels in the order of the input.
    """
    import numpy as np

    dims, target, folded = operator.inputs[0].dims, operator.outputs[0].dims, _folded(operator)
    (new,) = (label for label in target if label not in dims)
    flat = _last(arrays[0], dims, folded)
    index = np.argsort(-flat, axis=-1, kind="stable")[..., : operator.dims[new]]
    order = (*(label for label in dims if label not in folded), new)
    found = np.take_along_axis(flat, index, axis=-1)
    return spread(found, order, target), spread(index.astype(np.int32), order, target)


def _take_places(operator: Operator, arrays: Sequence[Array]) -> tuple[Array, ...]:
    """Elements of the table [.., folded] at the places that `topk` found: index [.., i]."""
    import numpy as np

    table, index = operator.inputs
    flat = _last(arrays[0], table.dims, _folded(operator))
    return (spread(np.take_along_axis(flat, arrays[1], axis=-1), index.dims, operator.outputs[0].dims),)


def _members(operator: Operator, arrays: Sequence[Array]) -> tuple[Array, ...]:
    """Whether each element of a new last axis is among the indices of the old one."""
    import numpy as np

    extent = operator.dims[operator.outputs[0].dims[-1]]
    return ((arrays[0][..., None, :] == np.arange(extent)[:, None]).any(-1),)


def _route(operator: Operator, arrays: Sequence[Array]) -> tuple[Array, ...]:
    """Chosen experts [b, s, i] -> experts with a place [x, e], tokens in their slots [x, e, t], slots of the choices.

    Experts that are hit take places in order, tokens the slots of their expert in order; what finds no place or slot
    is dropped (-1). A token is linear over b and s, a slot over x, e and t, an expert counts within its group.
    Attribute `sources`: tokens of so many sockets, in order, each of which has as many of an expert's slots.
    """
    import numpy as np

    chosen, (ids, tokens, _) = np.asarray(arrays[0]), operator.outputs
    members, (active, room) = int(operator.attributes["members"]), (operator.dims[at] for at in tokens.dims[-2:])  # type: ignore[arg-type]
    groups = prod(operator.dims[label] for label in ids.dims[:-1])
    places, held = np.zeros((groups, active), np.int32), np.full((groups, active, room), -1, np.int32)
    flat = chosen.reshape(-1)
    sources = int(operator.attributes.get("sources", 1))  # type: ignore[arg-type]
    slot = np.full(flat.shape, -1, np.int32)
    for group in range(groups):
        first = group * members
        hit = [int(expert) for expert in np.unique(flat) if first <= expert < first + members][:active]
        for place, expert in enumerate(hit):
            places[group, place] = expert - first
            for source in range(sources):
                begin, each = source * room // sources, room // sources
                mine = np.flatnonzero((flat == expert) & (np.arange(len(flat)) * sources // len(flat) == source))[:each]
                held[group, place, begin : begin + len(mine)] = mine // chosen.shape[-1]
                slot[mine] = (group * active + place) * room + begin + np.arange(len(mine))
    return (
        places.reshape([operator.dims[label] for label in ids.dims]),
        held.reshape([operator.dims[label] for label in tokens.dims]),
        slot.reshape(chosen.shape),
    )


def _dispatch(operator: Operator, arrays: Sequence[Array]) -> tuple[Array, ...]:
    """Rows of x [b, s, k] at linear tokens; zeros in empty slots."""
    import numpy as np

    x, index = operator.inputs
    labels = _folded(operator)
    rest = tuple(label for label in x.dims if label not in labels)
    flat = spread(arrays[0], x.dims, (*labels, *rest))
    flat = flat.reshape(-1, *flat.shape[len(labels) :])
    found = np.where((arrays[1] >= 0)[..., None], flat[arrays[1]], 0.0)
    return (spread(found, (*index.dims, *rest), operator.outputs[0].dims),)


def _combine(operator: Operator, arrays: Sequence[Array]) -> tuple[Array, ...]:
    """Sum over a token's choices of weight times the row in its slot; a choice without slot adds nothing."""
    import numpy as np

    rows, weights, slots = operator.inputs
    rest = tuple(label for label in rows.dims if label in operator.outputs[0].dims)
    labels = tuple(label for label in rows.dims if label not in rest)
    flat = spread(arrays[0], rows.dims, (*labels, *rest))
    flat = flat.reshape(-1, *flat.shape[len(labels) :])
    share = spread(arrays[1], weights.dims, slots.dims)
    found = np.where((arrays[2] >= 0)[..., None], flat[arrays[2]] * share[..., None], 0.0)
    summed = tuple(label for label in slots.dims if label not in operator.outputs[0].dims)
    total = found.sum(axis=tuple(slots.dims.index(label) for label in summed))
    kept = (*(label for label in slots.dims if label not in summed), *rest)
    return (spread(total, kept, operator.outputs[0].dims),)


def _at(operator: Operator, table: Array, index: Array) -> tuple[Array, tuple[str, ...]]:
    """Of a table [x, w, ..] the members [x, e] of each group, and the labels of the result [x, e, ..]."""
    dims, chosen = operator.inputs[0].dims, operator.inputs[-1].dims
    if len(chosen) == 1:
        return table[index], (*chosen, *dims[1:])
    import numpy as np

    return table[np.arange(table.shape[0])[:, None], index], (*chosen, *dims[2:])


def _expert_rows(operator: Operator, arrays: Sequence[Array]) -> tuple[Array, ...]:
    found, dims = _at(operator, arrays[0], arrays[-1])
    return (spread(found, dims, operator.outputs[0].dims),)


def _expert_linear(operator: Operator, arrays: Sequence[Array]) -> tuple[Array, ...]:
    """Rows [x, e, t, k] of every active expert times its weight: table [x, w, k, f], rows, experts [x, e]."""
    import numpy as np

    weight, dims = _at(operator, arrays[0], arrays[-1])
    letters = {label: chr(97 + number) for number, label in enumerate(operator.dims)}
    left, right, out = (
        "".join(letters[label] for label in labels)
        for labels in (dims, operator.inputs[1].dims, operator.outputs[0].dims)
    )
    product: Array = np.einsum(f"{left},{right}->{out}", weight, arrays[1], optimize=True)
    return (product,)


def _table_only(operator: Operator) -> tuple[str, ...]:
    """Labels of the gathered operand alone: rows are found, not gone through."""
    others = {label for operand in (*operator.inputs[1:], *operator.outputs) for label in operand.dims}
    return tuple(label for label in operator.inputs[0].dims if label not in others)


def _new(operator: Operator) -> tuple[str, ...]:
    """Labels of results that no input has."""
    inside = {label for operand in operator.inputs for label in operand.dims}
    return tuple(label for label in operator.dims if label not in inside)


def _all(operator: Operator) -> tuple[str, ...]:
    return tuple(operator.dims)


SPECS: Final[Mapping[str, OperatorSpec]] = MappingProxyType(
    {
        # A round for each choice: find the largest, take it out.
        "topk": OperatorSpec(
            kind="topk", compute=Compute.SIMD, points_ops=2, reduces=True, whole=changed, onnx=("TopK",),
            aten=("aten::topk",), numpy=_topk,
        ),
        "take_places": OperatorSpec(
            kind="take_places", compute=Compute.SIMD, points_ops=1, operands=(2, 2), whole=changed,
            addressed=_table_only, onnx=("GatherElements",), aten=("aten::gather",), numpy=_take_places,
        ),
        "members": OperatorSpec(
            kind="members", compute=Compute.SIMD, points_ops=2, reduces=True, whole=changed,
            onnx=("ScatterElements",), aten=("aten::scatter_",), numpy=_members,
        ),
        # A counting sort of the choices: count, running sum, place.
        "route": OperatorSpec(
            kind="route", compute=Compute.SIMD, points_ops=2, passes=3, reduces=True, whole=_all, addressed=_new,
            routed=_routed, attributes=("members",), aten=("aten::sort", "aten::bincount"), numpy=_route,
        ),
        "dispatch": OperatorSpec(
            kind="dispatch", compute=Compute.MOVE, gathers=True, operands=(2, 2), whole=_folded, routed=_routed,
            onnx=("Gather",), aten=("aten::index",), numpy=_dispatch,
        ),
        "combine": OperatorSpec(
            kind="combine", compute=Compute.SIMD, gathers=True, points_ops=2, reduces=True, contraction="sum",
            operands=(3, 3), addressed=_table_only, linear=(0,), routed=_routed, aten=("aten::index_add_",),
            numpy=_combine,
        ),
        "expert_rows": OperatorSpec(
            kind="expert_rows", compute=Compute.MOVE, gathers=True, operands=(2, 2),
            onnx=("Gather",), aten=("aten::index_select",), numpy=_expert_rows,
        ),
        "expert_linear": OperatorSpec(
            kind="expert_linear", compute=Compute.SYSTOLIC, gathers=True, reduces=True, contraction="sum",
            operands=(3, 3), addressed=_table_only, aten=("aten::_grouped_mm",), numpy=_expert_linear,
        ),
    }
)  # fmt: skip
