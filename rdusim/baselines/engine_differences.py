"""Runs in which two engines are farther apart than they should be: what the coarser one leaves out.

By name, as `rdusim validate --set engines` prints it: the share up to which the cause explains the difference, and the
cause. Nothing is timed with these; they are findings, to be taken out when the engine is mended.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

_LINKS: Final = "collectives of a layer take the same links between sockets: steady knows each alone"

KNOWN: Final[Mapping[str, tuple[float, str]]] = {
    "flash-fft-conv": (0.13, "streams share mesh links: steady counts their totals, discrete serves them in order"),
    "gpt2 prefill, batch 1": (0.15, _LINKS),
    "qwen3-0.6b prefill, batch 1": (0.15, _LINKS),
    "sparsegpt-13b prefill, batch 1": (0.19, _LINKS),
    "llama-3.1-405b prefill, batch 1": (
        0.20,
        "operands in DDR that PMUs do not hold whole: steady streams the rest of each alone, discrete beside what "
        "others prefetch",
    ),
    "deepseek-v3 decode, batch 16": (0.18, "experts in DDR, whose loads wait for the router; cause not found"),
    "deepseek-r1 decode, batch 16": (0.18, "as deepseek-v3, whose shapes it has"),
}
