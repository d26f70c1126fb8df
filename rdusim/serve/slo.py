"""Service level objectives: limits on latencies, and the share of requests that must keep all of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from rdusim.errors import OptionError, Problem
from rdusim.units import Seconds, UnitError, parse

LIMITS = ("ttft", "tpot", "tbt", "e2e", "queue")


@dataclass(frozen=True, slots=True, kw_only=True)
class Slo:
    """`limits`: seconds by metric (LIMITS). `share` of all requests, those refused or unfinished included, keep all."""

    limits: Mapping[str, Seconds]
    share: float = 0.99


def parse_slo(text: str) -> Slo:
    """`ttft=2s,tpot=50ms` or `ttft=2s,share=95%`. Raises OptionError with everything wrong in it."""
    limits: dict[str, Seconds] = {}
    share, problems = 0.99, []
    for part in text.split(","):
        name, _, value = (piece.strip() for piece in part.partition("="))
        hint = f"such as ttft=2s,tpot=50ms,share=99%; metrics are {', '.join(LIMITS)}"
        try:
            if name == "share":
                share = _share(value)
            elif name in LIMITS and name not in limits:
                limits[name] = parse(value, "time")
                if not limits[name] > 0:
                    raise ValueError(f"{value!r} is not above 0")
            else:
                raise ValueError(f"{part.strip()!r} is {'said twice' if name in limits else 'no limit'}")
        except (UnitError, ValueError) as error:
            problems.append(Problem(message=str(error), field="slo", hint=hint))
    if not limits and not problems:
        problems.append(Problem(message=f"{text!r} limits nothing", field="slo", hint="such as ttft=2s"))
    if problems:
        raise OptionError(*problems)
    return Slo(limits=limits, share=share)


def _share(text: str) -> float:
    share = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    if not 0 < share <= 1:
        raise ValueError(f"share {text!r} is not above 0 and at most 100%")
    return share
