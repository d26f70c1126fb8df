"""Schedules of pipeline parallelism, one file each, and the runner that times them all."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from rdusim.sim.microbatch.gpipe import gpipe
from rdusim.sim.microbatch.interleaved import interleaved
from rdusim.sim.microbatch.one_f_one_b import one_f_one_b
from rdusim.sim.microbatch.types import Schedule

SCHEDULES: Final[Mapping[str, Schedule]] = MappingProxyType(
    {"gpipe": gpipe, "1f1b": one_f_one_b, "interleaved": interleaved}
)
