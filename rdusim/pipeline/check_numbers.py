"""`rdusim run MODEL --check-numbers`: does the mapped program compute the numbers of its graph?

A config.json is scaled down, a graph file is executed as it is. Each phase is lowered and mapped as asked, executed
tile by tile on every socket, and compared with the graph; then once more with sections cut into tiles, which a small
model alone would not be.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

from rdusim.arch.types import Arch
from rdusim.errors import DeadlockError, OptionError, Problem
from rdusim.graph.backward import train
from rdusim.graph.evaluate import evaluate
from rdusim.graph.load import abilities, load_constants, load_graph, locate
from rdusim.graph.scale import Scale, scaled_down, sizes, write_config
from rdusim.graph.settings import read_settings
from rdusim.graph.types import OperatorGraph, Role, RunShape
from rdusim.mapping.map_onto import map_onto
from rdusim.pipeline.request import GENERATE, RunRequest
from rdusim.pipeline.stages import Observe, Stages
from rdusim.program.lower import choose_parallelism, lower
from rdusim.program.types import Fusion, LowerOptions
from rdusim.report.numbers import Deviation, NumbersReport, ProgramNumbers
from rdusim.report.types import FORWARD
from rdusim.units import show

if TYPE_CHECKING:
    from rdusim.sim.functional.storage import Array

TOLERANCE: Final = 1e-9  # of a result's largest value: sums in another order differ by some 1e-15
SEED: Final = 0
FEW_TOKENS: Final = 12
FEW_SEQUENCES: Final = 3
LEAST_TILES: Final = 4
MOST_ELEMENTS: Final = 32_000_000  # of all tensors of a graph that is executed as it is


def _silent(_: str) -> None:
    pass


def check_numbers(request: RunRequest, *, observe: Observe = _silent) -> NumbersReport:
    """Execute what was asked for, small, and compare. Raises RdusimError for wrong input, not for wrong numbers."""
    stages = Stages(request, observe=observe)
    if others := {axis: count for axis, count in asdict(stages.plan.ways).items() if axis != "tp" and count > 1}:
        said = ", ".join(f"{axis}={count}" for axis, count in others.items())
        message, hint = "--check-numbers executes tensor parallelism alone", "leave out all but tp"
        raise OptionError(Problem(field="--parallel", message=f"{said}: {message}", hint=hint))
    shapes = _shapes(stages)
    options = stages.lower_options()
    options = replace(options, parallelism=choose_parallelism(stages.whole(shapes[0]), stages.arch, options))
    path, name = locate(request.model)
    with TemporaryDirectory() as folder:
        scaled: Mapping[str, int] = {}
        config = path.suffix == ".json"
        if config:
            path, scaled = _small_model(path, Path(folder), shapes[-1], options)
        programs: list[ProgramNumbers] = []
        for shape in shapes:
            small = _small_shape(shape, path) if config else shape
            graph = replace(load_graph(path, small), name=name)
            if stages.plan.training is not None:
                graph = train(graph, stages.plan.training)
            _check_size(graph)
            known = load_constants(path, small) if config else {}
            phase = stages.plan.phase if stages.plan.phase == FORWARD else shape.phase.value
            for cut, least in _cuts(options):
                observe(f"executing {phase}, {cut}")
                lowered = replace(options, least_tiles=least)
                ran = _executed(graph, known, stages.arch, lowered, stages, phase, cut)
                # Where there is nothing to cut (one token), the second program is the first: it says nothing more.
                before = programs[-1] if programs else None
                if before is None or not ran.equal or (ran.phase, ran.executed) != (before.phase, before.executed):
                    programs.append(ran)
    assert options.parallelism is not None
    return NumbersReport(
        model=name,
        arch=stages.arch.name,
        sockets=options.parallelism.sockets,
        parallelism=asdict(options.parallelism),
        tolerance=TOLERANCE,
        seed=SEED,
        scaled=scaled,
        programs=tuple(programs),
    )


def compare(
    wanted: Mapping[str, Array], found: Mapping[str, Array], tolerance: float = TOLERANCE
) -> Iterator[Deviation]:
    """Errors of every wanted result; one that is missing, or has no number somewhere, is not equal.

    Some results are zero but for rounding (the gradient of a key's bias, which no softmax sees): these are equal where
    both are below what rounding makes of the largest number among the results.
    """
    import numpy as np

    numbers = [each for each in wanted.values() if np.asarray(each).dtype.kind == "f"]
    rounding = float(np.finfo(np.float64).eps) * max(
        (float(np.abs(each).max(initial=0.0)) for each in numbers), default=0.0
    )
    for tensor, reference in wanted.items():
        right = np.asarray(reference, dtype=np.float64)
        largest = float(np.abs(right).max(initial=0.0))
        absolute = float(np.abs(right - found[tensor]).max(initial=0.0)) if tensor in found else float("nan")
        relative = absolute / largest if largest else absolute
        broken = bool(np.isnan(absolute))
        yield Deviation(
            tensor=tensor,
            shape=right.shape,
            absolute=None if broken else absolute,
            relative=None if broken else relative,
            equal=not broken and (relative <= tolerance or max(largest, absolute) <= rounding),
        )


def observed(graph: OperatorGraph) -> list[str]:
    """Tensors to see besides results: what an index of a largest element is made of (logits)."""
    return [
        operator.inputs[0].tensor
        for operator in graph.operators
        if operator.kind == "argmax" and graph.tensors[operator.outputs[0].tensor].role is Role.OUTPUT
    ]


def _executed(
    graph: OperatorGraph,
    known: Mapping[str, Array],
    arch: Arch,
    options: LowerOptions,
    stages: Stages,
    phase: str,
    cut: str,
) -> ProgramNumbers:
    from rdusim.sim.functional import ProgramFault, execute
    from rdusim.sim.functional.inputs import random_inputs

    inputs, keep = random_inputs(graph, known, SEED), observed(graph)
    wanted = evaluate(graph, inputs, keep)
    mapping = map_onto(lower(graph, arch, options), arch, stages.map_options())
    try:
        ran = execute(mapping, graph, arch, inputs, keep)
    except (DeadlockError, ProgramFault) as error:
        return ProgramNumbers(phase=phase, cut=cut, executed={}, deviations=(), problem=str(error))
    deviations = tuple(compare(wanted, {**ran.kept, **ran.results}))
    return ProgramNumbers(phase=phase, cut=cut, executed=asdict(ran.counts), deviations=deviations)


def _cuts(options: LowerOptions) -> list[tuple[str, int]]:
    """As lowering chooses; and in tiles, so that they stream."""
    chosen = ("sections as chosen", options.least_tiles)
    if options.fusion is Fusion.UNFUSED:
        return [("a kernel for each operator", options.least_tiles)]
    return [chosen, (f"cut into {LEAST_TILES} tiles or more", LEAST_TILES)]


def _small_model(path: Path, folder: Path, shape: RunShape, options: LowerOptions) -> tuple[Path, Mapping[str, int]]:
    """A small config of the same family, and its sizes where they differ."""
    settings = read_settings(path)
    assert options.parallelism is not None
    tokens, few = shape.context_tokens, min(shape.context_tokens, FEW_TOKENS)
    values = scaled_down(settings, Scale(ways=options.parallelism.tp, tokens=tokens, few=few))
    return write_config(values, folder), sizes(values, settings)


def _shapes(stages: Stages) -> list[RunShape]:
    """The programs of a request; of a generation its prompt and its first step of decode."""
    if stages.plan.phase != GENERATE:
        return [stages.shape()]
    prompt = stages.plan.prefill()
    return [prompt, stages.plan.decode(prompt.context_tokens + 1)]


def _small_shape(shape: RunShape, path: Path) -> RunShape:
    """Few sequences and tokens, in the same phase, as the small model has; room for whatever experts they choose."""
    context = min(shape.context_tokens, FEW_TOKENS, abilities(read_settings(path)).positions or FEW_TOKENS)
    return replace(
        shape,
        batch=min(shape.batch, FEW_SEQUENCES),
        query_tokens=min(shape.query_tokens, context),
        context_tokens=context,
        full_routing=True,
    )


def _check_size(graph: OperatorGraph) -> None:
    elements = sum(tensor.elements for tensor in graph.tensors.values())
    if elements > MOST_ELEMENTS:
        message = f"{graph.name} has {show(elements, 'count')} elements in its tensors: too many to execute"
        hint = f"write a graph file with smaller shapes, of at most {show(MOST_ELEMENTS, 'count')} elements"
        raise OptionError(Problem(field="--check-numbers", message=message, hint=hint))
