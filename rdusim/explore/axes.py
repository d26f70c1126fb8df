"""Axes: what a path names (a field of the machine, an option of a run, a key of the model), and a request with it set.

`axis(request, path, texts)` checks path and values; `with_value(request, axis, value)` is the request at one of them.
A field of the machine that is a rate changes the machine that runs, not the one that programs are compiled for
(arch/structure.py); everything else is compiled again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from difflib import get_close_matches
from enum import StrEnum
from functools import cache
from types import NoneType
from typing import Any, Final, TypeVar, get_args, get_type_hints

from rdusim.arch.build import build_value
from rdusim.arch.load import load_arch_with_origins
from rdusim.arch.structure import FieldKind, leaf_of
from rdusim.errors import ArchError, OptionError, Problem
from rdusim.explore.model_keys import model_keys, model_value, with_model_value
from rdusim.explore.serving import ServeRequest, scenario_problems
from rdusim.pipeline.request import RunRequest, value_problems
from rdusim.sim.simulate import ENGINES
from rdusim.units import Dimension, dimension_of, examples

Scalar = str | int | float | bool
Request = RunRequest | ServeRequest
AnyRequest = TypeVar("AnyRequest", RunRequest, ServeRequest, Request)


class Target(StrEnum):
    """What a path is a path of."""

    MACHINE = "machine"
    OPTION = "option"
    MODEL = "model"
    SCENARIO = "scenario"


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """A value as written, and as tables show it: a quantity in SI units, a number, or the text itself."""

    text: str
    shown: Scalar


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """A path with the values that it takes. `rate`: programs need not be compiled again along it."""

    path: str
    target: Target
    values: tuple[Value, ...]
    rate: bool = False
    dimension: Dimension | None = None


MODEL: Final = "model."  # paths of keys of config.json begin with it
_LISTS: Final = ("overrides", "compiled_overrides", "cut_after")  # options that are no single value


def axis(request: Request, path: str, texts: Sequence[str]) -> Axis:
    """The axis of a path from `request` on. Raises OptionError with everything that is wrong with path or values."""
    if isinstance(request, ServeRequest):
        return _scenario_axis(request, path.strip(), texts)
    path = canonical(path)
    if path in options():
        return _option_axis(request, path, texts)
    if path.startswith(MODEL):
        return _model_axis(request, path, texts)
    return _machine_axis(request, path, texts)


def canonical(path: str) -> str:
    """The one spelling of a path: options may be written as on the command line, `--context-tokens`."""
    name = path.strip().removeprefix("--").replace("-", "_")
    return name if name in options() else path.strip()


def with_value(request: RunRequest, axis: Axis, value: Value) -> RunRequest:
    """The request of a run with one value of an axis in it."""
    if axis.target is Target.OPTION:
        return _with_option(request, axis.path, value.shown)
    if axis.target is Target.MODEL:
        return replace(request, model=with_model_value(request.model, axis.path.removeprefix(MODEL), value.text))
    setting = f"{axis.path}={value.text}"
    compiled = request.overrides if request.compiled_overrides is None else request.compiled_overrides
    return replace(
        request,
        overrides=(*request.overrides, setting),
        compiled_overrides=compiled if axis.rate else (*compiled, setting),
    )


def at(request: AnyRequest, point: Iterable[tuple[Axis, Value]]) -> AnyRequest:
    """The request at a point: the machine is chosen before its fields, a model before its keys."""
    if isinstance(request, ServeRequest):
        return replace(request, changes=(*request.changes, *((each.path, value.text) for each, value in point)))
    for each, value in sorted(point, key=lambda pair: _ORDER[pair[0].target]):
        request = with_value(request, each, value)
    return request


def dimension_along(request: Request, path: str) -> Dimension | None:
    """What values of a path are quantities of; None of plain numbers and names."""
    if isinstance(request, ServeRequest):
        # What a scenario takes, its reader knows: a field that takes one kind of quantity only.
        if not scenario_problems(request, path, ["1"]):
            return None
        taken = [each for each, text in examples().items() if not scenario_problems(request, path, [text])]
        return taken[0] if len(taken) == 1 else None
    leaf = leaf_of(canonical(path))
    return None if leaf is None else dimension_of(leaf.hint)


def distinct(request: Request, path: str, texts: Sequence[str]) -> list[str]:
    """Texts of different values: `10 GB/s` and `10000MB/s` are one, as it is written first. Wrong ones stay."""
    try:
        values = axis(request, path, texts).values
    except OptionError:
        return list(texts)
    first: dict[tuple[type, Scalar], str] = {}
    for value in values:
        first.setdefault((type(value.shown), value.shown), value.text)
    return list(first.values())


def is_whole(request: Request, path: str) -> bool:
    """Whether values of a path are whole numbers of their unit: counts, sizes, cycles. Raises OptionError."""
    if isinstance(request, ServeRequest):
        if scenario_problems(request, path, ["1"]):
            return dimension_along(request, path) == "size"
        return bool(scenario_problems(request, path, ["1.5"]))
    path = canonical(path)
    if (kind := options().get(path)) is not None:
        return kind is int
    if path.startswith(MODEL):
        known = model_keys(request.model)
        if (key := path.removeprefix(MODEL)) not in known:
            raise OptionError(_unknown(request, path))
        return isinstance(known[key], int)
    if (leaf := leaf_of(path)) is None:
        raise OptionError(_unknown(request, path))
    return leaf.hint is int or dimension_of(leaf.hint) in ("size", "cycles")


_ORDER: Final = {Target.OPTION: 0, Target.MODEL: 1, Target.MACHINE: 2}


def paths(request: RunRequest) -> list[str]:
    """Everything that can be varied: options, fields of the machine, keys of the model."""
    return [*options(), *machine_values(request), *(f"{MODEL}{key}" for key in model_keys(request.model))]


def machine_values(request: RunRequest) -> dict[str, str]:
    """Fields of the machine by path, with the values that they have in `request`, as written."""
    _, origins = load_arch_with_origins(request.arch, request.overrides)
    return {path: origin.text for path, origin in origins.items()}


@cache
def options() -> dict[str, type]:
    """Options of a run that are single values, and the type of each."""
    hints = get_type_hints(RunRequest)
    return {
        field.name: next((kind for kind in get_args(hints[field.name]) if kind is not NoneType), hints[field.name])
        for field in fields(RunRequest)
        if field.name not in _LISTS
    }


def _with_option(request: RunRequest, name: str, value: Scalar) -> RunRequest:
    options: dict[str, Any] = {name: value}
    return replace(request, **options)


def _option_axis(request: RunRequest, name: str, texts: Sequence[str]) -> Axis:
    kind, problems, values = options()[name], list[Problem](), list[Value]()
    for text in texts:
        try:
            values.append(Value(text=text.strip(), shown=_as(kind, text)))
        except ValueError:
            problems.append(Problem(field=name, message=f"{text!r} is not {_WANTED[kind]}"))
    for value in values:
        asked = _with_option(RunRequest(model=request.model), name, value.shown)
        found = value_problems(asked, engines=ENGINES)
        problems += [replace(problem, field=name) for problem in found]
    if problems:
        raise OptionError(*problems)
    return Axis(path=name, target=Target.OPTION, values=tuple(values))


_WANTED: Final = {
    int: "a whole number such as 8",
    float: "a number such as 0.8",
    bool: "one of true, false",
    str: "text",
}
_TRUE: Final = ("true", "yes", "on")
_FALSE: Final = ("false", "no", "off")


def _as(kind: type, text: str) -> Scalar:
    """Raises ValueError for text that is no value of the kind."""
    text = text.strip()
    if kind is bool:
        if text.lower() not in (*_TRUE, *_FALSE):
            raise ValueError
        return text.lower() in _TRUE
    if kind is int:
        return int(text)
    if kind is float:
        return float(text)
    if not text:
        raise ValueError
    return text


def _scenario_axis(request: ServeRequest, path: str, texts: Sequence[str]) -> Axis:
    if problems := scenario_problems(request, path, texts):
        raise OptionError(*problems)
    return Axis(
        path=path,
        target=Target.SCENARIO,
        values=tuple(Value(text=text.strip(), shown=_number_or_text(text.strip())) for text in texts),
    )


def _number_or_text(text: str) -> Scalar:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _model_axis(request: RunRequest, path: str, texts: Sequence[str]) -> Axis:
    key, known = path.removeprefix(MODEL), model_keys(request.model)
    if key not in known:
        raise OptionError(_unknown(request, path))
    values, problems = list[Value](), list[Problem]()
    for text in texts:
        try:
            values.append(Value(text=text.strip(), shown=model_value(request.model, key, text)))
        except ValueError as error:
            problems.append(Problem(field=path, message=str(error)))
    if problems:
        raise OptionError(*problems)
    return Axis(path=path, target=Target.MODEL, values=tuple(values))


def _machine_axis(request: RunRequest, path: str, texts: Sequence[str]) -> Axis:
    known, leaf = machine_values(request), leaf_of(path)
    if leaf is None or not (path in known or f"{path}.kind" in known):  # a group is set to the name of another kind
        raise OptionError(_unknown(request, path))
    values, problems = list[Value](), list[Problem]()
    for text in texts:
        value, wrong = build_value(leaf.hint, text, path)
        if not wrong and not isinstance(value, int | float):
            wrong = _unnamed(request, path, text)
        problems += wrong
        values.append(Value(text=text.strip(), shown=value if isinstance(value, int | float) else text.strip()))
    if problems:
        raise OptionError(*problems)
    return Axis(
        path=path,
        target=Target.MACHINE,
        values=tuple(values),
        rate=leaf.kind is FieldKind.RATE,
        dimension=dimension_of(leaf.hint),
    )


def _unnamed(request: RunRequest, path: str, text: str) -> list[Problem]:
    """What is wrong with a name: only a whole machine knows which there are."""
    try:
        load_arch_with_origins(request.arch, (*request.overrides, f"{path}={text}"))
    except ArchError as error:
        return [Problem(message=problem.message, field=path, hint=problem.hint) for problem in error.problems]
    return []


def _unknown(request: RunRequest, path: str) -> Problem:
    known = paths(request)
    near = [each for each in known if each.endswith(f".{path}")][:3]
    near = near or [each for each in known if f".{path}." in each][:3]
    near = near or get_close_matches(path, known, n=3, cutoff=0.5) or get_close_matches(path, known, n=1, cutoff=0.0)
    hint = f"did you mean {' or '.join(near)}?"
    return Problem(field=path, message="there is no such field, option or key to vary", hint=hint)
