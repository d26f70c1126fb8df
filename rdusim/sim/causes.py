"""What a cycle can be spent on: the labels of arcs, of bounds and of the breakdown."""

from __future__ import annotations

from collections.abc import Mapping
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
    """Numbers for labels; memory tiers are causes under their own name. A mixture is a label of several causes."""

    def __init__(self, tiers: tuple[str, ...]) -> None:
        self.names = (*FIXED, *tiers)
        self.number = {name: index for index, name in enumerate(self.names)}
        self._parts: list[Mapping[str, float]] = [{name: 1.0} for name in self.names]  # of each label

    def mixture(self, cycles: Mapping[str, float]) -> int:
        """The label of cycles that several causes share in proportion to these."""
        spent = {name: each for name, each in cycles.items() if each > 0.0}
        whole = sum(spent.values())
        if len(spent) < 2:
            return self.number[next(iter(spent or cycles))]
        self._parts.append({name: each / whole for name, each in spent.items()})
        return len(self._parts) - 1

    def of(self, by_label: Mapping[int, float]) -> dict[str, float]:
        """Cycles by name, from cycles by label."""
        found: dict[str, float] = {}
        for label, cycles in by_label.items():
            for name, part in self._parts[label].items():
                if cycles > 0.0:
                    found[name] = found.get(name, 0.0) + cycles * part
        return found
