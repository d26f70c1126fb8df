"""Names of stages, cut short."""

from __future__ import annotations

from collections.abc import Iterable


def common_block(names: Iterable[str]) -> str:
    """The `decoder/` in front of all of them; empty when they have none in common."""
    blocks = {name[: name.find("/") + 1] for name in names}
    return blocks.pop() if len(blocks) == 1 else ""
