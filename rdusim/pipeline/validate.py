"""Runs that answer published results, and what is read off each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Final

from rdusim.arch.load import load_arch
from rdusim.arch.show import show_arch
from rdusim.arch.types import Arch
from rdusim.baselines.gpu.load import load_gpu
from rdusim.baselines.gpu.timing import gpu_generation
from rdusim.baselines.published import SETS, UNITS, Case, Measure, Row, Target, load_targets
from rdusim.baselines.published_rows import CHOSEN, MACHINE, PENDING, ROWS
from rdusim.errors import RdusimError
from rdusim.pipeline.request import RunRequest
from rdusim.pipeline.stages import Cache, Observe, Stages
from rdusim.pipeline.validate_coe import coe_seconds, experts_held, nodes_near, switch_seconds
from rdusim.program.types import MemoryStream
from rdusim.report.summarize import peak_flops
from rdusim.report.types import Report
from rdusim.report.validation import Assumed, Outcome, Pending, Validation
from rdusim.sim.trace import SectionTiming


def _silent(_: str) -> None:
    pass


@dataclass(slots=True)
class _Runs:
    """Runs on one machine; what several rows ask for is made once.

    The tables of docs/validation.md are of the shipped machine as it is: `overrides` and those of the machine that
    programs are compiled for are for whoever looks for other values of its parameters.
    """

    arch: Arch
    cache: Cache
    overrides: tuple[str, ...] = ()
    compiled: tuple[str, ...] | None = None
    reports: dict[Case, Report] = field(default_factory=dict)

    def stages(self, case: Case | None) -> Stages:
        assert case is not None, "a row of this measure needs a case"
        return Stages(self.request(case), cache=self.cache)

    def request(self, case: Case) -> RunRequest:
        return RunRequest(arch=MACHINE, overrides=self.overrides, compiled_overrides=self.compiled, **asdict(case))

    def report(self, case: Case | None) -> Report:
        assert case is not None, "a row of this measure needs a case"
        if case not in self.reports:
            self.reports[case] = self.stages(case).report()
        return self.reports[case]


def validate(rows: Sequence[Row] = ROWS, *, cache: Cache | None = None, observe: Observe = _silent) -> Validation:
    """Predict every row and compare. A row that cannot be run says why; `observe` hears which row is in work."""
    targets = load_targets()
    answer = predictor(cache if cache is not None else Cache())
    found: list[tuple[Row, float | None, str | None]] = []
    for number, row in enumerate(rows, start=1):
        observe(f"{number} of {len(rows)}: {row.target} {targets[row.target].quantity} {row.reading}")
        try:
            found.append((row, answer(row), None))
        except RdusimError as error:
            found.append((row, None, str(error.problems[0])))
    main = {row.target: value for row, value, _ in found if row.main and value is not None}
    return Validation(
        arch=MACHINE,
        outcomes=tuple(_outcome(row, targets[row.target], value, problem, main) for row, value, problem in found),
        pending=tuple(
            Pending(target=target, reason=PENDING[name]) for name, target in targets.items() if name in PENDING
        ),
        assumed=_assumed(),
        complete=frozenset(SETS) - {row.set for row in ROWS if row.main and row not in rows},
    )


def predict(row: Row, overrides: tuple[str, ...], *, cache: Cache, compiled: tuple[str, ...] | None = None) -> float:
    """One row on the machine with other values, in SI units. `compiled`: overrides that programs are compiled for.

    Compositions are left out: what they run is not asked for by a request.
    """
    assert row.set != "coe"
    return _MEASURES[row.measure](row, _Runs(load_arch(MACHINE, overrides), cache, overrides, compiled))


def predictor(cache: Cache) -> Callable[[Row], float]:
    """What answers a row, in SI units; runs that several rows ask for are made once.

    What it gives raises RdusimError for a row that cannot be run.
    """
    runs = _Runs(load_arch(MACHINE), cache)
    return lambda row: _MEASURES[row.measure](row, runs)


def _outcome(
    row: Row, target: Target, predicted: float | None, problem: str | None, main: Mapping[str, float]
) -> Outcome:
    _, factor = UNITS[target.unit]
    published = factor * (target.value if row.derived is None else row.derived)
    broken = (
        [limit for limit in row.limits if not limit.holds(predicted, published, main)]
        if predicted is not None
        else row.limits
    )
    return Outcome(
        row=row,
        target=target,
        published=published,
        predicted=predicted,
        problem=problem,
        chosen=tuple(path for path, targets in CHOSEN.items() if target.id in targets),
        broken=tuple(str(limit) for limit in broken),
    )


def _assumed() -> tuple[Assumed, ...]:
    return tuple(
        Assumed(path=row.path, value=row.value, note=row.note, chosen_by=CHOSEN.get(row.path, ()))
        for row in show_arch(MACHINE)
        if row.note.startswith("assumed")
    )


def _peak(row: Row, runs: _Runs) -> float:
    peak = peak_flops(runs.arch, "bf16", sockets=1)
    assert peak is not None
    return peak


def _sram(row: Row, runs: _Runs) -> float:
    return runs.arch.socket.sram


def _intensity(row: Row, runs: _Runs) -> float:
    """FLOPs of the model over the bytes that sections move off chip, as `row.counting` counts them."""
    stages, counting = runs.stages(row.case), row.counting
    program = stages.program(stages.shape())

    def moved(streams: Sequence[MemoryStream]) -> int:
        return sum(stream.bytes for stream in streams if stream.buffer not in counting.left_out)

    moves = sum(section.repeats * moved((*section.loads, *section.stores)) for section in program.sections)
    return program.flops / (program.parallelism.sockets * moves + counting.added)


def _speedup(row: Row, runs: _Runs) -> float:
    return _time(runs.report(row.against)) / _time(runs.report(row.case))


def _launches(row: Row, runs: _Runs) -> float:
    stages, baseline = runs.stages(row.case), runs.stages(row.against)
    return baseline.program(baseline.shape()).kernel_launches / stages.program(stages.shape()).kernel_launches


def _units_used(row: Row, runs: _Runs) -> float:
    longest = max(runs.report(row.case).sections, key=lambda section: section.seconds)
    return max(longest.pcu_share, longest.pmu_share)


def _hbm_executing(row: Row, runs: _Runs) -> float:
    section, clock = _longest(row, runs)
    return _nearest_bytes(section, runs.arch) * clock / section.execution_cycles / runs.arch.socket.memory[0].bandwidth


def _hbm_streaming(row: Row, runs: _Runs) -> float:
    section, clock = _longest(row, runs)
    return _nearest_bytes(section, runs.arch) * clock / section.streaming_cycles / runs.arch.socket.memory[0].bandwidth


def _longest(row: Row, runs: _Runs) -> tuple[SectionTiming, float]:
    """The section that takes most of the time, and the clock that its cycles are of."""
    stages = runs.stages(row.case)
    trace = stages.trace(stages.shape())
    return max(trace.sections, key=lambda section: section.cycles), trace.clock


def _nearest_bytes(section: SectionTiming, arch: Arch) -> float:
    """Bytes of one execution over the nearest tier."""
    return sum(stream.bytes for stream in section.streams if stream.tier == arch.socket.memory[0].name)


def _seconds(row: Row, runs: _Runs) -> float:
    return _time(runs.report(row.case))


def _gpu_seconds(row: Row, runs: _Runs) -> float:
    """A prompt and its answer; a prefill is one of a single token."""
    case = row.case
    assert case is not None and case.batch and case.input_tokens and case.output_tokens, "a row of a GPU says how much"
    return gpu_generation(
        case.model,
        load_gpu(row.gpu),
        input_tokens=case.input_tokens,
        output_tokens=case.output_tokens,
        batch=case.batch,
        gpus=case.sockets,
    ).total_seconds


def _coe_seconds(row: Row, runs: _Runs) -> float:
    return coe_seconds(row, row.gpu, runs.cache)


def _coe_speedup(row: Row, runs: _Runs) -> float:
    return coe_seconds(row, row.gpu, runs.cache) / coe_seconds(row, "", runs.cache)


def _switch_speedup(row: Row, runs: _Runs) -> float:
    return switch_seconds(row, row.gpu) / switch_seconds(row, "")


def _experts_held(row: Row, runs: _Runs) -> float:
    return experts_held(row)


def _nodes_near(row: Row, runs: _Runs) -> float:
    return nodes_near(row, round(load_targets()["T72"].value))


def _time(report: Report) -> float:
    return report.latency.total_seconds


_MEASURES: Final[Mapping[Measure, Callable[[Row, _Runs], float]]] = {
    Measure.PEAK_FLOPS: _peak,
    Measure.SRAM: _sram,
    Measure.INTENSITY: _intensity,
    Measure.SPEEDUP: _speedup,
    Measure.LAUNCHES: _launches,
    Measure.UNITS_USED: _units_used,
    Measure.HBM_EXECUTING: _hbm_executing,
    Measure.HBM_STREAMING: _hbm_streaming,
    Measure.SECONDS: _seconds,
    Measure.GPU_SECONDS: _gpu_seconds,
    Measure.COE_SECONDS: _coe_seconds,
    Measure.COE_SPEEDUP: _coe_speedup,
    Measure.SWITCH_SPEEDUP: _switch_speedup,
    Measure.EXPERTS_HELD: _experts_held,
    Measure.NODES_NEAR: _nodes_near,
}
