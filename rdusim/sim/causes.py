"""What a cycle can be spent on: the labels of arcs, of bounds and of the breakdown."""

from __future__ import annotations

from typing import Final

COMPUTE = "compute"
COLLECTIVE = "collective"
LAUNCH = "launch"
FILL = "fill_drain"  # pipelines filling, first bytes of a memory, hops: latency that nothing hides
PMU = "pmu"
RDN = "rdn"
AGCU = "agcu"
TLN = "tln"
DIE = "die_to_die"

FIXED: Final = (COMPUTE, COLLECTIVE, LAUNCH, FILL, PMU, RDN, AGCU, TLN, DIE)


class Causes:
    """Numbers for labels; memory tiers are causes under their own name."""

    def __init__(self, tiers: tuple[str, ...]) -> None:
        self.names = (*FIXED, *tiers)
        self.number = {name: index for index, name in enumerate(self.names)}

    def of(self, by_label: dict[int, float]) -> dict[str, float]:
        """Cycles by name, from cycles by number."""
        return {self.names[label]: cycles for label, cycles in by_label.items() if cycles > 0.0}
