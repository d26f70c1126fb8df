"""The functional check: a mapped program executed with NumPy, tile by tile, through the buffers of the mapping."""

from __future__ import annotations

from rdusim.sim.functional.execute import Counts, Executed, execute
from rdusim.sim.functional.faults import ProgramFault

__all__ = ["Counts", "Executed", "ProgramFault", "execute"]
