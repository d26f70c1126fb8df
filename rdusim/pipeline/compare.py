"""Several requests side by side: each answered by an RDU or by GPUs, and the reasons for what is different."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from functools import partial
from typing import Final, TypeVar

from rdusim.arch.load import load_arch_with_origins
from rdusim.errors import OptionError, Problem, RdusimError
from rdusim.pipeline.gpu_run import is_gpu, resolve_on_gpus, run_on_gpus
from rdusim.pipeline.request import AUTO, RunRequest
from rdusim.pipeline.stages import Cache, Observe, Stages, answer
from rdusim.report.comparison import GPU, RDU, Change, Comparison, Variant, difference, parts_of
from rdusim.report.reasons import reasons

T = TypeVar("T")

# Options that a run depends on and that a plan does not hold.
_OF_A_RUN: Final = ("overrides", "compiled_overrides", "engine")  # what one program can have otherwise
_BESIDE: Final = ("model", "draft", "cut_after", "engine", "kv_cache", "kv_block", "spill", "memory_hints")


def _silent(_: str) -> None:
    pass


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A request and what it is called. `flag`: the option that it came with, for messages; None for the first."""

    name: str
    request: RunRequest
    flag: str | None = None


def compare(
    first: Asked, others: Sequence[Asked], *, cache: Cache | None = None, observe: Observe = _silent
) -> Comparison:
    """The runs, and the difference of each of the others from the first.

    Raises OptionError with the problems of all requests at once; runs begin when none has any.
    """
    cache = cache if cache is not None else Cache()
    asked = (first, *others)
    problems, seen, told = list[Problem](), dict[str, Asked](), set[str]()
    for each in asked:
        try:
            known = seen.setdefault(_blamed(each, partial(_identity, each.request, cache)), each)
            if known is not each:
                message = f"the same run as {known.name}"
                problems.append(Problem(field=each.flag, message=message, hint="change something, or leave it out"))
        except RdusimError as error:
            # What is wrong with the first, the others have from it: that is told once.
            problems += [problem for problem in error.problems if problem.message not in told]
            told |= {str(problem) for problem in error.problems} if each is first else set()
    if problems:
        raise OptionError(*problems)
    variants = [_blamed(each, partial(_variant, each, first, cache, observe)) for each in asked]
    differences = []
    for each, variant in zip(others, variants[1:], strict=True):
        found = difference(variants[0], variant, _other_fields(first.request, each.request))
        differences.append(replace(found, reasons=reasons(variants[0], variant, found)))
    return Comparison(variants=tuple(variants), differences=tuple(differences))


def same_program(first: Asked, others: Sequence[Asked]) -> list[Asked]:
    """The others with the program that is compiled for the first machine.

    Raises OptionError where another one must be compiled; that machines are of other structure is found later.
    """
    problems = []
    for each in others:
        other = [
            field.name.replace("_", "-")
            for field in fields(RunRequest)
            if field.name not in _OF_A_RUN and getattr(first.request, field.name) != getattr(each.request, field.name)
        ]
        if other or is_gpu(each.request.arch):
            message = f"another {', '.join(other)} makes another program" if other else "a GPU has no program to keep"
            hint = "keep to fields of the machine and --engine, or leave out --same-program"
            problems.append(Problem(field=each.flag, message=message, hint=hint))
    if problems:
        raise OptionError(*problems)
    return [replace(each, request=replace(each.request, compiled_overrides=first.request.overrides)) for each in others]


def _identity(request: RunRequest, cache: Cache) -> str:
    """All that decides what a request gives, defaults filled in. Raises what is wrong with it; runs nothing."""
    if is_gpu(request.arch):
        return repr(resolve_on_gpus(request))
    auto = request.parallel == AUTO
    stages = Stages(replace(request, parallel=None) if auto else request, cache=cache)
    return repr((stages.arch, stages.sockets, stages.plan, auto, *(getattr(request, name) for name in _BESIDE)))


def _blamed(each: Asked, make: Callable[[], T]) -> T:
    """What `make` gives; its problems are told as those of the variant."""
    try:
        return make()
    except RdusimError as error:
        if each.flag is None:
            raise
        raise OptionError(*(Problem(field=each.flag, message=str(problem)) for problem in error.problems)) from None


def _variant(each: Asked, first: Asked, cache: Cache, observe: Observe) -> Variant:
    changes = tuple(_changes(first.request, each.request))

    def said(step: str) -> None:
        observe(f"{each.name}: {step}")

    if is_gpu(each.request.arch):
        said("timing kernels")
        run = run_on_gpus(each.request)
        return Variant(name=each.name, kind=GPU, report=run.report, parts=run.parts, changes=changes)
    report = answer(each.request, cache=cache, observe=said)
    return Variant(name=each.name, kind=RDU, report=report, parts=parts_of(report.sections), changes=changes)


def _changes(first: RunRequest, here: RunRequest) -> Iterator[Change]:
    """Options that were given otherwise; of `--set` each setting that only one of them has."""
    for field in fields(RunRequest):
        before, now = getattr(first, field.name), getattr(here, field.name)
        if before == now or field.name == "compiled_overrides":  # of all runs, as --same-program says
            continue
        if field.name == "overrides":
            yield from (Change(option="set", first=each, here=None) for each in before if each not in now)
            yield from (Change(option="set", first=None, here=each) for each in now if each not in before)
        else:
            yield Change(option=field.name.replace("_", "-"), first=_text(before), here=_text(now))


def _other_fields(first: RunRequest, here: RunRequest) -> tuple[Change, ...]:
    """Fields of the machine that differ, as written; of machines of two kinds nothing can be told."""
    if is_gpu(first.arch) or is_gpu(here.arch):
        return ()
    before, now = (load_arch_with_origins(each.arch, each.overrides)[1] for each in (first, here))
    return tuple(
        Change(
            option=path,
            first=before[path].text if path in before else None,
            here=now[path].text if path in now else None,
        )
        for path in dict.fromkeys((*before, *now))
        if path not in before or path not in now or before[path].text != now[path].text
    )


def _text(value: object) -> str | None:
    if isinstance(value, tuple):
        return ", ".join(map(str, value)) or None
    if isinstance(value, bool):
        return "yes" if value else "no"
    return None if value is None else str(value)
