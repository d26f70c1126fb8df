"""Engine `cycle`: a small fabric cycle by cycle, the reference for the two quicker engines."""

from __future__ import annotations

from rdusim.sim.cycle.engine import cycle, machine_too_large

__all__ = ["cycle", "machine_too_large"]
