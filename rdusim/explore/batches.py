"""Points as batches for workers: those of one compiled program together, long enough to be worth a message."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import replace
from itertools import pairwise
from math import ceil
from typing import Final

from rdusim.explore.axes import Request
from rdusim.explore.serving import ServeRequest

LEAST: Final = 0.05  # seconds of a batch: a message to a process and back takes about a thousandth
KEPT: Final = 2.0  # seconds of a batch, unless compiling takes longer: what a kill may lose
_WORTH: Final = 5.0  # times as long as compiling: of a batch whose worker has to compile, a sixth at most


def compiled_alike(request: Request, *, remap: bool) -> Hashable:
    """Equal for requests that share what is compiled."""
    if isinstance(request, ServeRequest):
        return request.file  # its steps are on disk (pipeline/step_store.py)
    own = remap or request.compiled_overrides is None
    overrides = request.overrides if own else request.compiled_overrides
    return replace(request, overrides=overrides or (), compiled_overrides=None, engine="")


def batches_of(
    groups: Sequence[Sequence[int]], *, point: float, compiling: float, jobs: int, here: bool = False
) -> list[list[int]]:
    """Points in batches; a batch has points of one group, unless groups are too short for one.

    `point`, `compiling`: seconds. Groups stay whole up to some seconds of work, while there is a batch for every job.
    `here`: all run in this process, one after the other, so that batches need not be long.
    """
    total = sum(map(len, groups))
    if not total:
        return []
    point = max(point, 1e-6)
    least = max(1, ceil(LEAST / point))
    most = least if here else max(least, min(int(max(KEPT, _WORTH * compiling) / point), ceil(total / jobs)))
    found: list[list[int]] = []
    short: list[int] = []
    for group in groups:
        if (len(group) * point + compiling) < LEAST:
            short += group
            if len(short) >= least:
                found.append(short)
                short = []
            continue
        parts = ceil(len(group) / most)
        ends = [part * len(group) // parts for part in range(parts + 1)]  # as even as can be
        found += [list(group[begin:end]) for begin, end in pairwise(ends)]
    return [*found, short] if short else found
