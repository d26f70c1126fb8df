"""What is said when memory does not hold a program, or not where a hint wants it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from rdusim.arch.types import MemoryTier
from rdusim.errors import MappingError, Problem
from rdusim.graph.types import Role
from rdusim.mapping.pack import Share
from rdusim.program.types import Buffer
from rdusim.units import Bytes, show

MOST_NAMED = 4


def too_large(
    buffers: Sequence[Buffer], left: Sequence[Share], tiers: Sequence[MemoryTier], peaks: Mapping[str, Bytes]
) -> MappingError:
    """All tiers are full and `left` has no place."""
    roles = {buffer.role for buffer in buffers}
    sums = {role: sum(buffer.size for buffer in buffers if buffer.role == role) for role in roles}
    needed = ", ".join(f"{role} {show(size, 'size')}" for role, size in sorted(sums.items(), key=lambda of: -of[1]))
    available = ", ".join(
        f"{tier.name} {show(tier.capacity, 'size')} ({show(peaks[tier.name], 'size')} used)" for tier in tiers
    )
    largest = max((share.buffer for share in left), key=lambda buffer: buffer.size)
    return MappingError(
        Problem(
            message=f"a socket needs {show(sum(sums.values()), 'size')} ({needed}) and has {available}; "
            f"{len(left)} of {len(buffers)} buffers found no place, the largest is {largest.name!r} of "
            f"{show(largest.size, 'size')}",
            hint="shard over more sockets, or make " + _smaller(roles),
        )
    )


def _smaller(roles: Iterable[str]) -> str:
    """What would shrink the largest need: an optimizer's state does not depend on batch or context."""
    if Role.OPTIMIZER in roles:
        return "the optimizer's state (fewer moments, a smaller format), batch or context smaller"
    return "batch or context smaller"


def hint_too_large(fixed: Sequence[Share], tier: MemoryTier) -> MappingError:
    """What hints put into a tier is more than it holds."""
    ordered = sorted(fixed, key=lambda share: -share.size)
    named = ", ".join(f"{share.buffer.name!r} {show(share.size, 'size')}" for share in ordered[:MOST_NAMED])
    more = f" and {len(ordered) - MOST_NAMED} more" if len(ordered) > MOST_NAMED else ""
    total = show(sum(share.size for share in ordered), "size")
    return MappingError(
        Problem(
            field="--memory-hints",
            message=f"{total} of a socket are to lie in {tier.name}, which holds {show(tier.capacity, 'size')}: "
            f"{named}{more}",
            hint="hint less into this tier, or shard over more sockets",
        )
    )
