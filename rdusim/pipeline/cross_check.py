"""Engines against each other: every microbenchmark in three of them, every shipped model in two."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path
from typing import Final

from rdusim.arch.types import Arch
from rdusim.errors import DeadlockError, OptionError, Problem
from rdusim.graph.catalog import list_models
from rdusim.mapping.types import Mapping
from rdusim.pipeline.micro import SCHEMA, load_micro
from rdusim.pipeline.request import RunRequest
from rdusim.pipeline.stages import Cache, Observe, Stages
from rdusim.report.cross_check import Compared, CrossCheck
from rdusim.shipped import shipped
from rdusim.sim.simulate import simulate
from rdusim.sim.trace import Reason, SimulateOptions, Trace

MICRO_ENGINES: Final = ("steady", "discrete", "cycle")
MODEL_ENGINES: Final = ("steady", "discrete")  # a model does not fit the engine cycle
SMALL_MODEL: Final = "toy-mlp"  # the shipped model that fits a machine which the engine cycle can run
SMALL_MACHINE: Final = "toy"
BATCHES: Final = (1, 16)


def _silent(_: str) -> None:
    pass


def cross_check(*, observe: Observe = _silent) -> CrossCheck:
    """All of it; `observe` hears which row is in work."""
    rows = []
    for path in micros():
        observe(f"microbenchmark {path.stem}")
        rows.append(compare_micro(path))
    observe(f"{SMALL_MODEL} on {SMALL_MACHINE}")
    rows.append(compare_model(SMALL_MODEL, None, None, arch=SMALL_MACHINE))
    for model, phase, batch in _models():
        observe(f"{model} {phase or ''}, batch {batch or 1}")
        rows.append(compare_model(model, phase, batch))
    return CrossCheck(rows=tuple(rows))


def micros() -> tuple[Path, ...]:
    """The shipped microbenchmarks; the machines that they extend lie beside them."""
    files = sorted(shipped("micro").glob("*.yaml"))
    return tuple(path for path in files if SCHEMA in path.read_text(encoding="utf-8").splitlines()[0])


def find_micro(name: str) -> Path:
    """The file of that name, or the shipped microbenchmark. Raises OptionError where there is neither."""
    known = {path.stem: path for path in micros()}
    if name in known and not Path(name).is_file():
        return known[name]
    if Path(name).is_file():
        return Path(name)
    near = get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]}?" if near else f"shipped are {', '.join(known)}"
    raise OptionError(Problem(field="MICRO", message=f"there is no file or microbenchmark {name!r}", hint=hint))


def compare_micro(path: Path) -> Compared:
    """One microbenchmark in all engines. Raises RdusimError for a file that is wrong."""
    micro = load_micro(path)
    return _compared("micro", micro.name, micro.mapping, micro.arch, MICRO_ENGINES)


def compare_model(
    model: str, phase: str | None, batch: int | None, *, arch: str = "sn40l", cache: Cache | None = None
) -> Compared:
    """One model, at the default lengths of its phase."""
    stages = Stages(RunRequest(model=model, phase=phase, batch=batch, arch=arch), cache=cache)
    name = f"{model} {phase or ''}".strip() + (f" on {arch}" if arch != "sn40l" else "")
    said = f"{name}, batch {batch}" if batch else name
    engines = MICRO_ENGINES if arch == SMALL_MACHINE else MODEL_ENGINES
    return _compared("model", said, stages.mapping(stages.shape()), stages.arch, engines)


def _compared(kind: str, name: str, mapping: Mapping, arch: Arch, engines: tuple[str, ...]) -> Compared:
    seconds: dict[str, float] = {}
    deadlocks: dict[str, str] = {}
    contended = True
    for engine in engines:
        try:
            trace = simulate(mapping, arch, SimulateOptions(engine=engine))
        except DeadlockError as error:
            deadlocks[engine] = str(error)
            continue
        seconds[engine] = _seconds(trace, executions_only=kind == "micro")
        if engine == "discrete":
            contended = _contended(trace)
    return Compared(kind=kind, name=name, seconds=seconds, contended=contended, deadlocks=deadlocks or None)


def _seconds(trace: Trace, *, executions_only: bool) -> float:
    """Of a microbenchmark the executions alone: starting so little would hide what it is about."""
    if executions_only:
        return sum(section.execution_cycles * section.repeats for section in trace.sections) / trace.clock
    return trace.cycles / trace.clock


def _contended(trace: Trace) -> bool:
    """Whether somebody waited for bandwidth that others took."""
    stalls = (
        stall
        for section in trace.sections
        for found in (*(stage.stalls for stage in section.stages), *(stream.stalls for stream in section.streams))
        for stall in found
    )
    return any(stall.reason is Reason.BANDWIDTH for stall in stalls)


def _models() -> Iterator[tuple[str, str | None, int | None]]:
    for row in list_models():
        if not row.supported:
            continue
        if row.family == "yaml":
            yield row.name, None, None
        else:
            for batch in BATCHES:
                yield row.name, "decode", batch
            yield row.name, "prefill", 1
