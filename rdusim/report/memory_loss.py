"""Between a memory's peak and what a run achieves: factors by cause, of which the product is the share of the peak."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

WAITING = "waiting"  # share of the time in which the memory has something to move


def combined(parts: Sequence[tuple[float, Mapping[str, float]]], utilization: float) -> dict[str, float] | None:
    """Factors of all `parts` (bytes moved, factors of their pattern) together, and what is left of `utilization`.

    Each factor is the time that the bytes would take without its cause over that with it, causes before it included.
    None where nothing was moved.
    """
    parts = [(size, factors) for size, factors in parts if size > 0.0]
    if not parts:
        return None
    names = [name for name in parts[0][1] if name != WAITING]
    taken = [size for size, _ in parts]
    found: dict[str, float] = {}
    for name in names:
        longer = [time / factors[name] for time, (_, factors) in zip(taken, parts, strict=True)]
        found[name], taken = sum(taken) / sum(longer), longer
    found[WAITING] = utilization * sum(taken) / sum(size for size, _ in parts)
    return found
