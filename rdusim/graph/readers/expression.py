"""One operator as one line: `matmul W0[i,k], I0[k,j] -> G[i,j]`."""

from __future__ import annotations

import re
from dataclasses import dataclass

from rdusim.graph.types import Access

_OPERAND = re.compile(r"\s*([A-Za-z_][\w./-]*)\s*\[([^\[\]]*)\]\s*(?:@(\w+))?\s*")
_LABEL = re.compile(r"[A-Za-z_]\w*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """A tensor with its labels; `access` where the line says it."""

    tensor: str
    dims: tuple[str, ...]
    access: Access | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Expression:
    kind: str
    inputs: tuple[Term, ...]
    outputs: tuple[Term, ...]


def parse(text: str) -> Expression:
    """The operator that a line describes. Raises ValueError with what is wrong, for the caller to place."""
    left, arrow, right = text.partition("->")
    kind, _, inputs = left.strip().partition(" ")
    if not arrow or not kind or not inputs.strip() or not right.strip():
        raise ValueError(f"{text!r} is not of the form 'kind tensor[labels], tensor[labels] -> result[labels]'")
    return Expression(kind=kind, inputs=_terms(inputs), outputs=_terms(right))


def _terms(text: str) -> tuple[Term, ...]:
    terms, position = [], 0
    while True:
        found = _OPERAND.match(text, position)
        if found is None:
            raise ValueError(f"{text[position:].strip()!r} is not of the form tensor[label,label]")
        terms.append(_term(*found.groups()))
        position = found.end()
        if position == len(text):
            return tuple(terms)
        if text[position] != ",":
            raise ValueError(f"a comma is missing before {text[position:].strip()!r}")
        position += 1


def _term(tensor: str, labels: str, access: str | None) -> Term:
    dims = tuple(label.strip() for label in labels.split(",")) if labels.strip() else ()
    for label in dims:
        if not _LABEL.fullmatch(label):
            raise ValueError(f"{label!r} in {tensor}[{labels}] is not a label")
    if len(set(dims)) < len(dims):
        raise ValueError(f"{tensor}[{labels}] names a label twice")
    if access is not None and access not in tuple(Access):
        raise ValueError(f"@{access} is not known: one of {', '.join(f'@{kind.value}' for kind in Access)}")
    return Term(tensor=tensor, dims=dims, access=Access(access) if access else None)
