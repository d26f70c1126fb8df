"""Which runs answer which published result, and what was chosen by looking at it.

Data: a new row is a line here and one in targets.csv.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

from rdusim.baselines.limits import Above, AtLeast, Limit, Near, Printed, Shares, Within
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
    "software.host_step of GPUs": ("T80", "T81", "T82", "T83"),
    "software.tensor_share of gpu/a100": ("T84",),
    "software.overlap of GPUs": ("T84", "T85"),
    "gpu.bytes_in_flight of GPUs": ("T80", "T81", "T82", "T83"),
    "socket.memory.ddr.copy_share": ("T61", "T70", "T71"),
    "prompt and router of the composition": tuple(f"T{number}" for number in range(60, 70)),
    "kernels of the composition's prefill": ("T60", "T61", "T66", "T67", "T68", "T69"),
    "batch of the benchmark": (
        *(f"T{number}" for number in range(10, 24)),
        *(f"T{number}" for number in range(30, 37)),
    ),
    "kernels of the benchmark's baseline": (
        *("T10", "T11", "T14", "T15", "T16", "T17"),
        *(f"T{number}" for number in range(30, 37)),
    ),
}

# Model of a target that is not shipped -> one of the same shapes.
SAME_SHAPES: Final[Mapping[str, str]] = {"llama-7b": "llama-2-7b"}

# Targets that cannot be run yet, and why.
PENDING: Final[Mapping[str, str]] = {}


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Benchmark:
    """A benchmark of MICRO Figs. 10 and 11: targets of speedup by host and by hardware and of kernels, and the run.

    Neither figure prints the batch, nor how fine the unfused kernels are (`baseline`, a value of `--fusion`). Chosen by
    what is printed besides the speedup by hardware: the batch is the power of two whose quotient of fused times, host
    over hardware, comes nearest the printed one; the baseline comes nearest the ratio of kernels of Fig. 11, or is what
    the printed time leaves room for (docs/validation.md, "Fusion").
    """

    by_host: str
    by_hardware: str
    kernels: str
    case: Case
    baseline: str = "unfused"


_FIGURES: Final = (
    Benchmark(
        by_host="T10",
        by_hardware="T11",
        kernels="T30",
        case=Case(model="llama-2-7b", sockets=8, phase="prefill", batch=2, input_tokens=4096),
        baseline="modules",
    ),
    Benchmark(
        by_host="T12",
        by_hardware="T13",
        kernels="T31",
        case=Case(model="llama-2-7b", sockets=8, phase="decode", batch=1, context_tokens=4096),
    ),
    Benchmark(
        by_host="T14",
        by_hardware="T15",
        kernels="T32",
        case=Case(model="llama-2-7b", sockets=8, phase="train", batch=2, input_tokens=4096),
        baseline="modules",
    ),
    Benchmark(
        by_host="T16",
        by_hardware="T17",
        kernels="T33",
        case=Case(model="bloom-176b", sockets=8, phase="prefill", batch=1, input_tokens=8192),
        baseline="modules",
    ),
    Benchmark(
        by_host="T18",
        by_hardware="T19",
        kernels="T34",
        case=Case(model="bloom-176b", sockets=8, phase="decode", batch=1, context_tokens=8192),
    ),
    Benchmark(
        by_host="T20",
        by_hardware="T21",
        kernels="T35",
        case=Case(model="mistral-7b", sockets=8, phase="prefill", batch=4, input_tokens=2048),
    ),
    Benchmark(
        by_host="T22",
        by_hardware="T23",
        kernels="T36",
        case=Case(model="mistral-7b", sockets=8, phase="decode", batch=128, context_tokens=2048),
    ),
)
_FFT_CONV: Final = Case(model="flash-fft-conv", sockets=1)
_FIGURE_LIMITS: Final[Mapping[str, tuple[Limit, ...]]] = {
    "T11": (Near("T10", 0.10),),
    "T13": (Above("T12"),),
    "T31": (Within(0.20),),
    "T34": (Within(0.20),),
}


def _fusion() -> Iterator[Row]:
    for benchmark in _FIGURES:
        for target, orchestration in ((benchmark.by_host, "host"), (benchmark.by_hardware, "hardware")):
            for case, baseline, main in _readings(benchmark):
                yield _speedup(target, replace(case, orchestration=orchestration), baseline, main=main)
    # The one number is printed for both.
    for reading, orchestration in (("SO", "host"), ("HO", "hardware")):
        case = replace(_FFT_CONV, orchestration=orchestration)
        yield replace(_speedup("T24", case, "unfused"), reading=reading)


def _readings(benchmark: Benchmark) -> Iterator[tuple[Case, str, bool]]:
    """The conditions that are taken; then another batch, and the other baseline, each by itself."""
    case, baseline = benchmark.case, benchmark.baseline
    yield case, baseline, True
    yield replace(case, batch=1 if case.batch != 1 else 16), baseline, False
    yield case, "modules" if baseline == "unfused" else "unfused", False


def _speedup(target: str, case: Case, baseline: str, *, main: bool = True) -> Row:
    """The unfused baseline is host-orchestrated, whoever starts the fused kernels (MICRO VI)."""
    return Row(
        target=target,
        set="fusion",
        measure=Measure.SPEEDUP,
        case=case,
        against=replace(case, fusion=baseline, orchestration="host"),
        reading=_conditions(case, baseline),
        main=main,
        limits=_FIGURE_LIMITS.get(target, ()) if main else (),
    )


def _conditions(case: Case, baseline: str) -> str:
    return f"batch {case.batch}, a kernel {'a module' if baseline == 'modules' else 'an operator'}"


def _kernels() -> Iterator[Row]:
    """In the conditions of the speedup, as both figures are of the same runs."""
    for benchmark in _FIGURES:
        for case, baseline, main in _readings(benchmark):
            row = replace(_ratio(benchmark.kernels, case, baseline), reading=_conditions(case, baseline), main=main)
            yield row if main else replace(row, limits=())
    yield _ratio("T37", _FFT_CONV, "unfused")


def _ratio(target: str, case: Case, baseline: str) -> Row:
    return Row(
        target=target,
        set="kernels",
        measure=Measure.LAUNCHES,
        case=case,
        against=replace(case, fusion=baseline),
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
        yield Row(target=target, set="generation", measure=Measure.SECONDS, case=case, limits=(Within(0.10),))
    step = replace(model, phase="decode", context_tokens=2048)
    yield Row(target="T55", set="generation", measure=Measure.SECONDS, case=step, limits=(Within(0.15),))


def _gpu() -> Iterator[Row]:
    """ALCF names no size of its A100's memory; that of the TensorRT-LLM documents is taken for the larger."""
    model = Case(model="llama-2-7b", sockets=1, batch=1)
    for gpu, targets in {"h100": ("T80", "T81"), "a100-40gb": ("T82", "T83")}.items():
        for target, tokens in zip(targets, (128, 1024), strict=True):
            case = replace(model, phase="generate", input_tokens=tokens, output_tokens=tokens)
            row = Row(target=target, set="gpu", measure=Measure.GPU_SECONDS, case=case, gpu=gpu, reading=gpu)
            yield replace(row, limits=(Within(0.15),))
            if gpu == "a100-40gb":
                yield replace(row, gpu="a100", reading="a100 (80 GB)", main=False)
    for target, tokens in {"T84": 2048, "T85": 128}.items():
        case = replace(model, phase="prefill", input_tokens=tokens, output_tokens=1)
        row = Row(target=target, set="gpu", measure=Measure.GPU_SECONDS, case=case, gpu="a100", reading="a100 (80 GB)")
        yield replace(row, limits=(Within(0.15),))


# Llama-2 reads 4096 tokens, the paper's benchmark is of that length (MICRO Table III), and 20 of them are written.
_OUTPUT: Final = 20
_PROMPT: Final = 4096 - _OUTPUT
# Fig. 11 counts 5.4 prefill kernels a layer (T30: 11.7 times fewer than unfused), our program has one: these make 5.
_PREFILL_KERNELS: Final = tuple(
    f"decoder/{name}" for name in ("attention.v.heads", "attention.mix", "attention.residual", "mlp.mul")
)
_DGX: Final[Mapping[str, tuple[str, str, str, str, str]]] = {
    # GPU: expert in HBM, in host memory; speedup over it with batch 1, batch 8; of switching
    "a100": ("T62", "T63", "T66", "T68", "T70"),
    "h100": ("T64", "T65", "T67", "T69", "T71"),
}


def _coe() -> Iterator[Row]:
    """MICRO VI-C. Speedups for 1 and 8 experts (Table V) agree only if the router takes as long as an expert."""
    plain = Case(model="llama-2-7b", sockets=8, phase="coe", batch=1, input_tokens=_PROMPT, output_tokens=_OUTPUT)
    case = replace(plain, cut_after=_PREFILL_KERNELS)
    row = Row(
        target="T60", set="coe", measure=Measure.COE_SECONDS, case=case, router_tokens=_OUTPUT, limits=(Within(0.15),)
    )
    for target, copied in (("T60", False), ("T61", True)):
        main = replace(row, target=target, copied=copied)
        yield replace(main, reading="prefill of 5 kernels a layer")
        yield replace(main, case=plain, reading="prefill of 1 kernel a layer", main=False, limits=())
        short = replace(plain, input_tokens=128)
        yield replace(main, case=short, router_tokens=1, reading="router writes 1 token", main=False, limits=())
    for gpu, (near, far, alone, together, switch) in _DGX.items():
        on_gpu = replace(row, gpu=gpu, case=plain, limits=(), reading=f"8 x {gpu}, against the paper's estimate")
        yield replace(on_gpu, target=near)
        yield replace(on_gpu, target=far, copied=True)
        ratio = replace(row, measure=Measure.COE_SPEEDUP, gpu=gpu, copied=True, reading=f"over 8 x {gpu} as simulated")
        yield replace(ratio, target=alone)
        yield replace(ratio, target=together, case=replace(case, batch=8))
        copy = Case(model="llama-2-7b", sockets=8, phase="switch")
        yield replace(ratio, target=switch, measure=Measure.SWITCH_SPEEDUP, case=copy, reading=f"over {gpu}'s one link")
    held = Case(model="llama-2-7b", sockets=8, phase="capacity")
    yield Row(target="T72", set="coe", measure=Measure.EXPERTS_HELD, case=held, limits=(AtLeast(),))
    yield Row(target="T73", set="coe", measure=Measure.NODES_NEAR, against=held, gpu="a100", limits=(Printed(0),))


ROWS: Final[tuple[Row, ...]] = (
    *_machine(),
    *_intensity(),
    *_fusion(),
    *_kernels(),
    *_decoder(),
    *_generation(),
    *_gpu(),
    *_coe(),
)
