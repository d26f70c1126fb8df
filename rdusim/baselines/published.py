"""Published results: what was measured (targets.csv), and how a prediction of it is asked for.

A row names a target, the runs that answer it and what to read off their reports; `pipeline.validate` does the runs.
"""

from __future__ import annotations

import csv
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from rdusim.baselines.limits import Limit
from rdusim.errors import OptionError, Problem
from rdusim.units import parse

PUBLISHED: Final = "published"  # the set of all rows
SETS: Final[Mapping[str, str]] = {
    "machine": "Peak compute and SRAM of a socket",
    "intensity": "Operational intensity of the Monarch FFT example",
    "fusion": "Fused over unfused",
    "kernels": "Kernel launches, unfused over fused",
    "decoder": "The fused decoder layer",
    "generation": "Generation end to end",
    "gpu": "Llama-2-7B on one GPU",
    "coe": "Composition of Experts",
}

# Unit of targets.csv -> SI unit and its factor.
UNITS: Final[Mapping[str, tuple[str, float]]] = {
    "TFLOPS": ("FLOP/s", 10.0**12),
    "MiB": ("B", float(parse("1 MiB", "size"))),
    "s": ("s", 1.0),
    "ms": ("s", float(parse("1 ms", "time"))),
    "FLOP/B": ("FLOP/B", 1.0),
    "%": ("share", 0.01),
    "x": ("ratio", 1.0),
    "experts": ("experts", 1.0),
    "nodes": ("nodes", 1.0),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A line of targets.csv. `value` in `unit`; `label`: V read verbatim in the source, D derived from it."""

    id: str
    quantity: str
    value: float
    unit: str
    model: str | None
    phase: str | None
    sockets: int | None
    batch: int | None
    input_tokens: int | None
    output_tokens: int | None
    conditions: str
    source: str
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """Options of one run, by the names of `pipeline.RunRequest`; None is left to that one's defaults."""

    model: str
    sockets: int
    phase: str | None = None
    batch: int | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    context_tokens: int | None = None
    fusion: str = "fused"
    orchestration: str | None = None
    cut_after: tuple[str, ...] = ()


class Measure(StrEnum):
    """What is read off a run, in SI units."""

    PEAK_FLOPS = "peak FLOP/s of a socket at bf16"
    SRAM = "bytes of all PMUs of a socket"
    INTENSITY = "FLOPs over off-chip bytes"
    SPEEDUP = "time of `against` over time of `case`"
    LAUNCHES = "kernel launches of `against` over those of `case`"
    UNITS_USED = "share of PCUs or PMUs, whichever is larger, of the section that takes most of the time"
    HBM_EXECUTING = "share of HBM peak over an execution of the section that takes most of the time"
    HBM_STREAMING = "the same from its first byte to its last"
    SECONDS = "total time"
    GPU_SECONDS = "total time on the GPU `gpu`"
    COE_SECONDS = "a batch through a composition, on `gpu` if that is given"
    COE_SPEEDUP = "the same on `gpu` over the machine's"
    SWITCH_SPEEDUP = "a copy of an expert on `gpu` over the machine's"
    EXPERTS_HELD = "experts that live on a node"
    NODES_NEAR = "nodes of `gpu` whose nearest tier holds the experts of T72"


@dataclass(frozen=True, slots=True, kw_only=True)
class Counting:
    """How off-chip bytes are counted: without the buffers `left_out`, with `added` bytes more."""

    left_out: tuple[str, ...] = ()
    added: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One prediction of a target. `reading`: the way of counting or the setting, where the source leaves it open.

    `gpu`: what runs the case instead of the machine. `main`: the reading that totals count. `derived`: what the target
    would be in this reading, in the target's unit. `copied`: experts of a composition come from their home. Of a
    composition the router writes `router_tokens`, and `cut_after` of the case is of prefills.
    """

    target: str
    set: str
    measure: Measure
    case: Case | None = None
    against: Case | None = None
    counting: Counting = Counting()
    gpu: str = ""
    copied: bool = False
    router_tokens: int = 1
    reading: str = ""
    main: bool = True
    derived: float | None = None
    limits: tuple[Limit, ...] = ()


def load_targets() -> dict[str, Target]:
    """Targets by id, in the order of the file."""
    with Path(__file__).with_name("targets.csv").open(encoding="utf-8", newline="") as file:
        lines = csv.DictReader(line for line in file if not line.startswith("#"))
        return {line["id"]: _target(line) for line in lines}


def _target(line: Mapping[str, str]) -> Target:
    return Target(
        id=line["id"],
        quantity=line["quantity"],
        value=float(line["value"]),
        unit=line["unit"],
        model=line["model"] or None,
        phase=line["phase"] or None,
        sockets=_count(line["sockets"]),
        batch=_count(line["batch"]),
        input_tokens=_count(line["input_tokens"]),
        output_tokens=_count(line["output_tokens"]),
        conditions=line["conditions"],
        source=line["source"],
        label=line["label"],
    )


def _count(text: str) -> int | None:
    return int(text) if text else None


def select(rows: Collection[Row], names: Collection[str], others: Collection[str] = ()) -> tuple[Row, ...]:
    """Rows of the named sets, in order. Raises OptionError for a name that is none, with the nearest.

    `others`: names that could have been meant, of sets that are none of these rows.
    """
    known = (PUBLISHED, *SETS, *others)
    if wrong := [name for name in names if name not in known]:
        raise OptionError(*(_unknown(name, known) for name in wrong))
    return tuple(row for row in rows if PUBLISHED in names or row.set in names)


def _unknown(name: str, known: Collection[str]) -> Problem:
    from difflib import get_close_matches

    near = get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]}?" if near else f"one of {', '.join(known)}"
    return Problem(field="--set", message=f"there is no set {name!r}", hint=hint)
