"""Which runs answer which published result, and what was chosen by looking at it.

Data: a new row is a line here and one in targets.csv.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Final

from rdusim.baselines.limits import Above, Limit, Near, Printed, Shares, Within
from rdusim.baselines.published import Case, Counting, Measure, Row
from rdusim.units import parse

MACHINE: Final = "sn40l"

# Parameter of the machine, or other choice -> targets that were looked at when it was made. `assumed` parameters could
# have had another value; with the others the target follows from them, and says nothing about the simulator.
CHOSEN: Final[Mapping[str, tuple[str, ...]]] = {
    "socket.clock": ("T01",),
    "socket.tile.pmu.capacity": ("T02",),
    "how the paper counts bytes": ("T03", "T04", "T05"),
    "operators of flash-fft-conv": ("T37",),
    "socket.placeable": ("T40",),
    "socket.memory.hbm.timing.refresh_time": ("T41",),
    "launch.argument_bytes_per_stream": ("T50", "T51", "T52", "T53", "T54", "T55"),
    "launch.program_bytes_per_unit": ("T12", "T13"),
    "launch.host_call": ("T12", "T13"),
    "system.host.latency": ("T12", "T13"),
}

# Targets that cannot be run yet, and why.
PENDING: Final[Mapping[str, str]] = {
    **dict.fromkeys(("T60", "T61", "T72"), "Composition of Experts is not simulated yet"),
    **dict.fromkeys(
        ("T62", "T63", "T64", "T65", "T66", "T67", "T68", "T69", "T70", "T71", "T73"),
        "needs GPU baselines and Composition of Experts",
    ),
    **dict.fromkeys(("T80", "T81", "T82", "T83", "T84", "T85"), "needs GPU baselines"),
}

# Batch sizes of MICRO Figs. 10 and 11 are not printed: 1 is taken, 16 is shown beside it.
BATCH: Final = 1
OTHER_BATCH: Final = 16


def _machine() -> Iterator[Row]:
    yield Row(target="T01", set="machine", measure=Measure.PEAK_FLOPS)
    yield Row(target="T02", set="machine", measure=Measure.SRAM)


def _intensity() -> Iterator[Row]:
    """MICRO Table I in two countings; they differ by the operand Scale and, fused, by one transfer too many there."""
    monarch = Case(model="monarch-fft", sockets=1)
    cases = {
        "T03": (replace(monarch, fusion="unfused"), 34.2, 0),
        "T04": (replace(monarch, cut_after=("transpose",)), 73.3, 0),
        # The paper's 410.4 are 5 transfers of 256 KiB; I0, W0, W1 and Out make 4.
        "T05": (monarch, 171.0, parse("256 KiB", "size")),
    }
    for target, (case, every_transfer, added) in cases.items():
        row = Row(target=target, set="intensity", measure=Measure.INTENSITY, case=case, limits=(Printed(1),))
        yield replace(
            row, reading="as the paper counts: without Scale", counting=Counting(left_out=("Scale",), added=added)
        )
        yield replace(row, reading="every transfer counted", derived=every_transfer, main=False)


# MICRO Figs. 10 and 11: targets of speedup under host and hardware orchestration and of kernel launches, and the run.
_FIGURES: Final[tuple[tuple[str, str, str, Case], ...]] = (
    ("T10", "T11", "T30", Case(model="llama-2-7b", sockets=8, phase="prefill", batch=BATCH, input_tokens=4096)),
    ("T12", "T13", "T31", Case(model="llama-2-7b", sockets=8, phase="decode", batch=BATCH, context_tokens=4096)),
    ("T14", "T15", "T32", Case(model="llama-2-7b", sockets=8, phase="train", batch=BATCH, input_tokens=4096)),
    ("T16", "T17", "T33", Case(model="bloom-176b", sockets=8, phase="prefill", batch=BATCH, input_tokens=8192)),
    ("T18", "T19", "T34", Case(model="bloom-176b", sockets=8, phase="decode", batch=BATCH, context_tokens=8192)),
    ("T20", "T21", "T35", Case(model="mistral-7b", sockets=8, phase="prefill", batch=BATCH, input_tokens=2048)),
    ("T22", "T23", "T36", Case(model="mistral-7b", sockets=8, phase="decode", batch=BATCH, context_tokens=2048)),
)
_FFT_CONV: Final = Case(model="flash-fft-conv", sockets=1)
_FIGURE_LIMITS: Final[Mapping[str, tuple[Limit, ...]]] = {
    "T11": (Near("T10", 0.10),),
    "T13": (Above("T12"),),
    "T31": (Within(0.20),),
    "T34": (Within(0.20),),
}


def _fusion() -> Iterator[Row]:
    for by_host, by_hardware, _, case in _FIGURES:
        yield from _speedups(by_host, replace(case, orchestration="host"))
        yield from _speedups(by_hardware, replace(case, orchestration="hardware"))
    yield _speedup("T24", replace(_FFT_CONV, orchestration="host"), reading="SO")  # the one number is printed for both
    yield _speedup("T24", replace(_FFT_CONV, orchestration="hardware"), reading="HO")


def _speedups(target: str, case: Case) -> Iterator[Row]:
    yield _speedup(target, case, reading=f"batch {case.batch}")
    yield _speedup(target, replace(case, batch=OTHER_BATCH), reading=f"batch {OTHER_BATCH}", main=False)


def _speedup(target: str, case: Case, *, reading: str, main: bool = True) -> Row:
    """The unfused baseline is host-orchestrated, whoever starts the fused kernels (MICRO VI)."""
    return Row(
        target=target,
        set="fusion",
        measure=Measure.SPEEDUP,
        case=case,
        against=replace(case, fusion="unfused", orchestration="host"),
        reading=reading,
        main=main,
        limits=_FIGURE_LIMITS.get(target, ()) if main else (),
    )


def _kernels() -> Iterator[Row]:
    for target, case in (*((figure[2], figure[3]) for figure in _FIGURES), ("T37", _FFT_CONV)):
        yield Row(
            target=target,
            set="kernels",
            measure=Measure.LAUNCHES,
            case=case,
            against=replace(case, fusion="unfused"),
            limits=_FIGURE_LIMITS.get(target, ()),
        )


def _decoder() -> Iterator[Row]:
    """MICRO VI-C. The context is not printed; it is that of the paper's benchmark, 4096."""
    case = Case(model="llama-2-7b", sockets=8, phase="decode", batch=1, context_tokens=4096)
    yield Row(target="T40", set="decoder", measure=Measure.UNITS_USED, case=case, limits=(Shares(0.80, 0.95),))
    hbm = Row(target="T41", set="decoder", measure=Measure.HBM_EXECUTING, case=case, reading="whole execution")
    yield hbm
    yield replace(hbm, measure=Measure.HBM_STREAMING, reading="while it streams", main=False, limits=(Shares(0.80),))


def _generation() -> Iterator[Row]:
    """ALCF: input and output of the same length. T55 is a slope over contexts of 128 to 4096: a step about halfway."""
    model = Case(model="llama-3-8b", sockets=8, batch=1)
    for target, tokens in {"T50": 128, "T51": 256, "T52": 512, "T53": 1024, "T54": 2048}.items():
        case = replace(model, phase="generate", input_tokens=tokens, output_tokens=tokens)
        yield Row(target=target, set="generation", measure=Measure.SECONDS, case=case, limits=(Within(0.15),))
    step = replace(model, phase="decode", context_tokens=2048)
    yield Row(target="T55", set="generation", measure=Measure.SECONDS, case=step, limits=(Within(0.15),))


ROWS: Final[tuple[Row, ...]] = (*_machine(), *_intensity(), *_fusion(), *_kernels(), *_decoder(), *_generation())
