"""Engine `discrete`: tile by tile, with bounded channels, credits and shared resources served in order."""

from rdusim.sim.discrete.engine import discrete as discrete
