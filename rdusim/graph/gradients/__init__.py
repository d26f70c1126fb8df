"""How gradients go back through each kind of operator. A new kind: a rule in its family's file.

Granularity is that of PyTorch's backward pass: an operator here is a kernel there.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from rdusim.graph.gradients import elementwise, linear, move, reduction
from rdusim.graph.gradients.tape import Rule

RULES: Final[Mapping[str, Rule]] = MappingProxyType(
    {**linear.RULES, **elementwise.RULES, **reduction.RULES, **move.RULES}
)

# Kinds that carry no gradient in a training step, and why.
WITHOUT: Final[Mapping[str, str]] = MappingProxyType(
    {
        "argmax": "an index has no gradient",
        "kv_append": "training has no cached past",
        **dict.fromkeys(("maximum", "abs", "max", "clamp"), "operators with a kink have no rule, besides relu"),
        **dict.fromkeys(("take", "take_places"), "reads by linear index have no rule"),
        **dict.fromkeys(
            ("topk", "members", "route", "dispatch", "combine", "expert_rows", "expert_linear"),
            "mixtures of experts have no rules so far",
        ),
    }
)
