"""Hints of a user where symbols lie: a YAML file of patterns, and the tier of memory that each wants.

    symbols:
      "decoder/attention.k_past": ddr
      "embed*": hbm

A hint is obeyed or refused, never weighed: what does not fit where it should is an error with sizes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from fnmatch import fnmatchcase
from pathlib import Path

from rdusim.errors import GraphError, OptionError, Problem
from rdusim.graph.readers.document import Document

FIELD = "symbols"


@dataclass(frozen=True, slots=True, kw_only=True)
class Hint:
    """Symbols whose name matches `pattern` (*, ?, [abc]) lie in `tier`."""

    pattern: str
    tier: str
    file: str
    line: int

    def matches(self, symbol: str) -> bool:
        return fnmatchcase(symbol, self.pattern)


def read_hints(path: Path, tiers: Sequence[str]) -> tuple[Hint, ...]:
    """The hints of a file, in its order. Raises OptionError with everything wrong with it at once."""
    try:
        document = Document(path)
        root = document.mapping(document.root, "the file", (FIELD,))
        if FIELD not in root:
            document.wrong(document.root, f"has no {FIELD!r}", hint=f"{FIELD}: {{pattern: tier}}")
        found = document.mapping(root.get(FIELD), FIELD)
        hints = tuple(
            Hint(
                pattern=pattern,
                tier=document.word(node, f"{FIELD}.{pattern}", tiers, tiers[0]),
                file=str(path),
                line=node.start_mark.line + 1,
            )
            for pattern, node in found.items()
        )
        document.check()
    except GraphError as error:
        raise OptionError(*error.problems) from None
    return hints


def obeyed(hints: Iterable[Hint], symbols: Iterable[str]) -> dict[str, str]:
    """The tier of every symbol that a hint names. Raises OptionError where two hints want different ones."""
    hints = tuple(hints)
    found: dict[str, Hint] = {}
    problems: dict[tuple[int, int], Problem] = {}
    for symbol in symbols:
        for hint in hints:
            if not hint.matches(symbol):
                continue
            first = found.setdefault(symbol, hint)
            if first.tier != hint.tier:
                message = (
                    f"{symbol!r} is to lie in {hint.tier}, and in {first.tier} by {first.pattern!r} (line {first.line})"
                )
                problem = Problem(
                    message=message, file=hint.file, line=hint.line, field=hint.pattern, hint="leave one of them out"
                )
                problems.setdefault((first.line, hint.line), problem)
    if problems:
        raise OptionError(*problems.values())
    return {symbol: hint.tier for symbol, hint in found.items()}


def check_named(hints: Iterable[Hint], symbols: Collection[str]) -> None:
    """Raises OptionError for patterns that match no symbol, with the nearest ones."""
    idle = [hint for hint in hints if not any(hint.matches(symbol) for symbol in symbols)]
    if idle:
        raise OptionError(
            *(
                Problem(
                    message="no symbol has such a name", file=hint.file, line=hint.line, field=hint.pattern,
                    hint=_near(hint.pattern, symbols),
                )
                for hint in idle
            )
        )  # fmt: skip


def _near(pattern: str, symbols: Collection[str]) -> str:
    plain = pattern.strip("*")
    near = get_close_matches(plain, symbols, n=2, cutoff=0.4) or sorted(symbols)[:2]
    said = f"did you mean {' or '.join(repr(name) for name in near)}?" if near else "there are no symbols"
    return f"{said} rdusim explain --after map lists all"


def tiers_of(hints: Sequence[Hint], symbols: Collection[str]) -> Mapping[str, str]:
    """Every hint obeyed, and none for nothing."""
    check_named(hints, symbols)
    return obeyed(hints, symbols)
