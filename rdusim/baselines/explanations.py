"""Predictions that are farther than a factor of 1.5 from what was published, and why.

By target: the factor up to which the cause explains the difference, and the cause. Nothing is predicted with these;
they are findings, to be taken out when a prediction comes near. Bars of MICRO Fig. 10 need one (`groups.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

EXPLAINED: Final[Mapping[str, tuple[float, str]]] = {}
