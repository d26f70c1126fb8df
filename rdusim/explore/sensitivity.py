"""Which fields of a machine move a figure most: each by the same share of its value, one at a time.

Rates (bandwidths, latencies, costs) run the programs that were compiled for the machine as it is, unless they are to be
compiled again; counts and sizes are structure and always make new programs (arch/structure.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from enum import StrEnum
from itertools import islice
from math import isfinite
from typing import Final

from rdusim.errors import OptionError, Problem, RdusimError
from rdusim.explore.evaluate import evaluate, metrics
from rdusim.explore.parameters import Moved, Parameter, moved, parameters, read
from rdusim.pipeline import Cache, RunRequest
from rdusim.pipeline.gpu_run import is_gpu
from rdusim.pipeline.model_sizes import weight_bytes
from rdusim.pipeline.rdu_costs import RduCosts
from rdusim.report.sensitivity import LEAST, End, Influence, Sensitivity
from rdusim.report.types import Setting

TOTAL: Final = "latency.total_seconds"
SWITCH: Final = "switch_seconds"  # of no run: a model from the second tier of memory to the nearest
BY: Final = 0.2
SOCKETS: Final = "system.sockets"
PASSED_OVER: Final = 8  # values of a count next to each other that are run at most

Observe = Callable[[str], None]


class Fields(StrEnum):
    """Which numbers of the machine are varied."""

    ALL = "all"
    ASSUMED = "assumed"
    RATES = "rates"


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is asked: a figure of a run, and what is moved.

    `patterns`: of the fields that are varied, all if there are none. `ranges`: path -> lowest and highest value as
    written, instead of `by`.
    """

    request: RunRequest
    metric: str = TOTAL
    by: float = BY
    fields: Fields = Fields.ALL
    patterns: tuple[str, ...] = ()
    ranges: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    remap: bool = False
    name: str = ""


def _silent(_: str) -> None:
    pass


def sensitivity(question: Question, *, cache: Cache | None = None, observe: Observe = _silent) -> Sensitivity:
    """The figure with every field down and up. Raises RdusimError if the question, or the run itself, makes no sense.

    A value that cannot be run is told, not raised.
    """
    cache, request = cache if cache is not None else Cache(), question.request
    chosen = _chosen(question)
    ranges = _ranges(question, chosen)
    observe("the machine as it is")
    base, setting = _figure(question, request, cache)
    found = []
    for number, parameter in enumerate(chosen, start=1):
        observe(f"{number} of {len(chosen)}: {parameter.path}")
        found.append(_influence(question, parameter, ranges.get(parameter.path), base, cache, not _idle(setting)))
    varied = sorted(
        (each for each in found if each.low is not None or each.high is not None),
        key=lambda each: (-each.swing, each.path),
    )
    largest = _largest_rate(question, varied, base)
    again = None
    if largest is not None:
        observe(f"{largest}, compiled for its values")
        (parameter,) = (each for each in chosen if each.path == largest)
        remapped = replace(question, remap=True)
        again = _influence(remapped, parameter, ranges.get(largest), base, cache, not _idle(setting))
    return Sensitivity(
        name=question.name or request.model,
        setting=setting,
        metric=question.metric,
        base=base,
        by=question.by,
        remapped=question.remap,
        parameters=tuple(varied),
        refused=tuple(each for each in found if each.low is None and each.high is None),
        again=again,
    )


def _largest_rate(question: Question, varied: Sequence[Influence], base: float) -> str | None:
    """The rate that moves the figure most, of those that ran a program that was not compiled for them."""
    if question.metric == SWITCH:  # of no program
        return None
    return next((each.path for each in varied if not each.compiled_again and each.swing > LEAST * abs(base)), None)


def _chosen(question: Question) -> tuple[Parameter, ...]:
    """The fields to vary. Raises OptionError with what is wrong with the question."""
    problems = []
    if not (isfinite(question.by) and 0.0 < question.by < 1.0):
        hint = "above 0% and below 100%, such as 20%"
        problems.append(
            Problem(field="--by", message=f"{100 * question.by:g}% is no share to move a value by", hint=hint)
        )
    if is_gpu(question.request.arch):
        message = f"{question.request.arch} is a GPU; only fields of RDUs are varied"
        problems.append(Problem(field="--arch", message=message))
    if problems:
        raise OptionError(*problems)
    found = parameters(question.request, question.patterns)

    def kept(each: Parameter) -> bool:
        return {Fields.ALL: True, Fields.ASSUMED: each.assumed, Fields.RATES: each.rate}[question.fields]

    chosen = tuple(each for each in found if kept(each) or each.path in question.ranges)
    if not chosen:
        which = "is assumed" if question.fields is Fields.ASSUMED else "is a rate"
        raise OptionError(Problem(message=f"none of the fields {which}", hint="leave out --parameter or the choice"))
    return chosen


def _ranges(question: Question, chosen: Sequence[Parameter]) -> dict[str, tuple[Moved, Moved]]:
    """The ranges that were given, checked: of a field that is varied, and around its value."""
    known = {each.path: each for each in chosen}
    found, problems = dict[str, tuple[Moved, Moved]](), list[Problem]()
    for path, texts in question.ranges.items():
        if path not in known:
            near = get_close_matches(path, known, n=1, cutoff=0.0)
            hint = f"did you mean {near[0]}?"
            problems.append(Problem(field="--range", message=f"{path} is no field that is varied", hint=hint))
            continue
        try:
            low, high = (read(known[path], text) for text in texts)
        except OptionError as error:
            problems += [replace(problem, field=f"--range {path}") for problem in error.problems]
            continue
        if not low.value <= known[path].value <= high.value or low.value == high.value:
            message = f"{low.text} to {high.text} is no range around {known[path].text}"
            problems.append(Problem(field=f"--range {path}", message=message, hint="LOW..HIGH, with the value inside"))
        found[path] = low, high
    if problems:
        raise OptionError(*problems)
    return found


def _influence(
    question: Question, parameter: Parameter, ranged: tuple[Moved, Moved] | None, base: float, cache: Cache, busy: bool
) -> Influence:
    ends: list[End | None] = []
    reasons: list[str] = []
    for side, sign in enumerate((-1.0, 1.0)):
        near = moved(question.request, parameter, sign * question.by) if ranged is None else iter((ranged[side],))
        try:
            ends.append(_end(question, parameter, near, cache, busy and ranged is None))
        except RdusimError as error:
            ends.append(None)
            reasons.append(str(error.problems[0]))
    return Influence(
        path=parameter.path,
        text=parameter.text,
        value=parameter.value,
        note=parameter.note,
        base=base,
        low=ends[0],
        high=ends[1],
        ranged=ranged is not None,
        compiled_again=question.remap or not parameter.rate,
        problem="; ".join(dict.fromkeys(reasons)) or None,
    )


def _end(question: Question, parameter: Parameter, near: Iterator[Moved], cache: Cache, busy: bool) -> End:
    """The first of the values. `busy`: no socket stands idle, so a number of them with which some do is passed over.

    Otherwise a number that the model cannot be cut over would tell of the model, not of the machine.
    """
    tried = []
    for to in islice(near, PASSED_OVER):
        metric, ran = _moved_figure(question, parameter, to, cache)
        if not (busy and parameter.path == SOCKETS and _idle(ran)):
            return End(text=to.text, value=to.value, metric=metric)
        tried.append(to.text)
    raise OptionError(Problem(message=f"with {', '.join(tried)} of them some stand idle"))


def _idle(ran: Setting) -> bool:
    return ran.sockets_used < ran.sockets


def _moved_figure(question: Question, parameter: Parameter, to: Moved, cache: Cache) -> tuple[float, Setting]:
    """The figure with another value, and what was run."""
    setting = f"{parameter.path}={to.text}"
    before = question.request
    compiled = before.overrides if before.compiled_overrides is None else before.compiled_overrides
    request = replace(
        before,
        overrides=(*before.overrides, setting),
        compiled_overrides=compiled if parameter.rate else (*compiled, setting),
    )
    # What one value makes, no other value uses: it is forgotten with this copy.
    return _figure(question, request, Cache(dict(cache.made)))


def _figure(question: Question, request: RunRequest, cache: Cache) -> tuple[float, Setting]:
    """The figure at one machine, and what was run there. Raises OptionError for one that the report does not have."""
    if question.metric == SWITCH:
        return _switch(request)
    report = evaluate(request, cache=cache, remap=question.remap)
    figures = metrics(report)
    value = figures.get(question.metric)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value), report.setting
    known = [name for name, each in figures.items() if not isinstance(each, str | bool)] + [SWITCH]
    near = [name for name in known if name.endswith(f".{question.metric}")][:3]
    near = near or get_close_matches(question.metric, known, n=3, cutoff=0.4) or [TOTAL]
    message = f"the results have no number {question.metric!r}"
    raise OptionError(Problem(field="--metric", message=message, hint=f"did you mean {' or '.join(near)}?"))


def _switch(request: RunRequest) -> tuple[float, Setting]:
    """Seconds to copy the model's weights from the second tier of memory to the nearest, on all sockets in use."""
    costs = RduCosts(request, {request.model: request.model})
    tiers = [tier.name for tier in costs.arch.socket.memory]
    if len(tiers) < 2:
        message = f"{costs.arch.name} has one tier of memory, so nothing is copied"
        raise OptionError(Problem(field="--metric", message=message, hint="a machine with several"))
    seconds = costs.switch(weight_bytes(request.model), tiers[1], tiers[0])
    setting = Setting(
        model=request.model,
        arch=costs.arch.name,
        sockets=costs.arch.system.sockets,
        sockets_used=costs.sockets,
        phase=f"copy from {tiers[1]}",
        batch=request.batch or 1,
        engine=request.engine,
    )
    return seconds, setting
