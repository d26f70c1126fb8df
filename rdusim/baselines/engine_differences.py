"""Runs in which two engines are farther apart than they should be: what the coarser one leaves out.

By name, as `rdusim validate --set engines` prints it: the share up to which the cause explains the difference, and the
cause. Nothing is timed with these; they are findings, to be taken out when the engine is mended.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

KNOWN: Final[Mapping[str, tuple[float, str]]] = {
    "flash-fft-conv": (0.13, "streams share mesh links: steady counts their totals, discrete serves them in order"),
    "gpt2 prefill, batch 1": (
        0.15,
        "both collectives of a layer take the same links between sockets: steady knows each alone",
    ),
    "llama-3.1-405b decode, batch 1": (
        0.17,
        "operands in DDR that PMUs do not hold whole: steady streams the rest of each alone, discrete beside what "
        "others prefetch",
    ),
    "llama-3.1-405b prefill, batch 1": (0.14, "as in decode: the rest of operands in DDR"),
}
