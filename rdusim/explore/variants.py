"""Variants of a request from short texts: `gpu/h100`, `unfused`, `batch=16`, `socket.clock=1.5GHz`, or several at once.

Changes are separated by commas or blanks. A part of a plan that follows `parallel=` belongs to it, as in
`parallel=tp=4,pp=2`, and stands for itself too (`tp=4,pp=2`). A word without `=` must mean one thing only.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Final

from rdusim.arch.load import SCHEMA
from rdusim.arch.source import Scalar, read_table
from rdusim.baselines.gpu.load import FOLDER, gpu_names
from rdusim.errors import OptionError, Problem, RdusimError
from rdusim.explore.axes import axis, with_value
from rdusim.graph.optimizer import OPTIMIZERS, PRECISIONS, RECOMPUTE
from rdusim.mapping.types import Orchestration, SpillOrder
from rdusim.pipeline.compare import Asked
from rdusim.pipeline.gpu_run import is_gpu
from rdusim.pipeline.request import AUTO, CONTIGUOUS, DTYPES, PAGED, PHASES, RunRequest
from rdusim.program.types import Fusion, Parallelism
from rdusim.shipped import names
from rdusim.sim.microbatch import SCHEDULES
from rdusim.sim.simulate import ENGINES

_FLAG: Final = "--with"
_WAYS: Final = tuple(axis.name for axis in fields(Parallelism))
_OPTIONS: Final = tuple(field.name for field in fields(RunRequest) if "overrides" not in field.name)
_YAML: Final = (".yaml", ".yml")
_UNIT: Final = re.compile(r"([kMGT]i?)?(B|b|Hz|s|B/s|b/s)|[munp]s|cycles?")

# Option -> its values that may stand alone.
_VALUES: Final[Mapping[str, tuple[str, ...]]] = {
    "phase": PHASES,
    "dtype": DTYPES,
    "fusion": tuple(choice.value for choice in Fusion),
    "orchestration": tuple(choice.value for choice in Orchestration),
    "engine": tuple(ENGINES),
    "kv_cache": (CONTIGUOUS, PAGED),
    "spill": tuple(choice.value for choice in SpillOrder),
    "pipeline_schedule": tuple(SCHEDULES),
    "optimizer": tuple(OPTIMIZERS),
    "recompute": RECOMPUTE,
    "precision": PRECISIONS,
    "parallel": (AUTO,),
}
_FLAGS: Final[Mapping[str, tuple[str, str]]] = {
    "kernel-looping": ("kernel_looping", "true"),
    "no-kernel-looping": ("kernel_looping", "false"),
}


def asked(request: RunRequest, texts: Sequence[str]) -> tuple[Asked, list[Asked]]:
    """The run itself, and one for each text. Raises OptionError with what is wrong with any of them."""
    if not texts:
        hint = "such as --with gpu/h100, --with unfused or --with batch=16"
        raise OptionError(Problem(field=_FLAG, message="there is nothing to compare with", hint=hint))
    found, problems = dict[str, Asked](), list[Problem]()
    for text in texts:
        name, flag = " ".join(_pieces(text)), f"{_FLAG} {text or repr(text)}"
        if name in found:
            problems.append(Problem(field=flag, message="given twice", hint="once is enough"))
            continue
        try:
            found[name] = Asked(name=name, request=variant(request, text), flag=flag)
        except RdusimError as error:
            problems += [Problem(field=flag, message=str(problem)) for problem in error.problems]
    if problems:
        raise OptionError(*problems)
    first = Path(request.arch).stem if request.arch.endswith(_YAML) else request.arch
    return Asked(name=first, request=request), [*found.values()]


def variant(request: RunRequest, text: str) -> RunRequest:
    """The request with the changes of one text. Settings of the machine are put in last, whatever the order.

    Settings of the first machine stay for another one of its kind, and are left behind for one of the other kind.
    """
    pieces = _pieces(text)
    if not pieces:
        hint = "such as gpu/h100, unfused or batch=16"
        raise OptionError(Problem(message="it says nothing to change", hint=hint))
    options, settings, problems = dict[str, str](), list[str](), list[Problem]()
    for piece in pieces:
        try:
            name, value = _meaning(piece)
        except RdusimError as error:
            problems += error.problems
            continue
        if name is None:
            settings.append(value)
        elif name in options:
            problems.append(Problem(message=f"{_said(name)} is given twice"))
        else:
            options[name] = value
    if problems:
        raise OptionError(*problems)
    changed = request
    for name in sorted(options, key=lambda option: option not in _FIRST):
        changed = _with_option(changed, name, options[name])
    if is_gpu(changed.arch) != is_gpu(request.arch):
        changed = replace(changed, overrides=())
    return replace(changed, overrides=(*changed.overrides, *settings))


_FIRST: Final = ("arch", "model")  # what other values are judged by


def _with_option(request: RunRequest, name: str, value: str) -> RunRequest:
    if name == "cut_after":
        return replace(request, cut_after=(value,))
    found = axis(request, name, [value])
    return with_value(request, found, found.values[0])


def _pieces(text: str) -> list[str]:
    """The changes of a text; the ways of a plan together, written as `parallel=tp=4,pp=2`."""
    pieces: list[str] = []
    for piece in filter(None, re.split(r"[,\s]+", text)):
        if piece.partition("=")[0] not in _WAYS:
            pieces.append(piece)
        elif pieces and pieces[-1].startswith("parallel="):
            pieces[-1] += f",{piece}"
        else:
            pieces.append(f"parallel={piece}")
    return pieces


def _meaning(piece: str) -> tuple[str | None, str]:
    """The option and its value; None and the setting for a field of the machine."""
    left, equals, right = piece.partition("=")
    if not equals:
        return _word(piece)
    if not right:
        raise OptionError(Problem(message=f"{left}= has no value", hint=f"such as {left}=VALUE"))
    name = left.removeprefix("--").replace("-", "_")
    if name in _OPTIONS:
        return name, right
    if "." in left:
        return None, piece
    near = get_close_matches(left, [_said(option) for option in _OPTIONS], n=1)
    hint = f"did you mean {near[0]}?" if near else "an option of rdusim run, or a field of the machine as for --set"
    raise OptionError(Problem(message=f"there is no option {left!r}", hint=hint))


def _word(word: str) -> tuple[str, str]:
    meanings = list(dict.fromkeys(_meanings(word.removeprefix("--"))))
    if len(meanings) == 1:
        return meanings[0]
    if meanings:
        each = " or ".join(f"{_said(name)}={value}" for name, value in meanings)
        raise OptionError(Problem(message=f"{word!r} means several things", hint=f"say which: {each}"))
    message = f"{word!r} is no machine, no value of an option and no model"
    raise OptionError(Problem(message=message, hint=_nearest(word)))


def _meanings(word: str) -> Iterator[tuple[str, str]]:
    """What a word can stand for."""
    if word in _FLAGS:
        yield _FLAGS[word]
    yield from ((option, word) for option, values in _VALUES.items() if word in values)
    if word in names("arch"):
        yield "arch", word
    if (gpu := word.removeprefix(f"{FOLDER}/")) in gpu_names():
        yield "arch", f"{FOLDER}/{gpu}"
    if word in names("graphs"):
        yield "model", word
    path = Path(word)
    if path.suffix in _YAML and path.is_file():
        yield ("arch" if is_gpu(word) or _is_machine(path) else "model"), word
    elif (path.suffix == ".json" and path.is_file()) or (path / "config.json").is_file():
        yield "model", word


def _is_machine(path: Path) -> bool:
    """Whether a YAML file describes a machine rather than a model."""
    schema = read_table(path.read_text(encoding="utf-8-sig", errors="replace"), str(path))[0].items.get("schema")
    return isinstance(schema, Scalar) and schema.text == SCHEMA


def _nearest(word: str) -> str:
    if _UNIT.fullmatch(word):
        return "write a number and its unit as one word, such as 1.5GHz"
    if Path(word).suffix in (*_YAML, ".json"):
        return "there is no such file"
    values = [value for each in _VALUES.values() for value in each]
    known = [*values, *_FLAGS, *names("arch"), *(f"{FOLDER}/{name}" for name in gpu_names()), *names("graphs")]
    if near := get_close_matches(word, known, n=3):
        return f"did you mean {' or '.join(near)}?"
    return "such as gpu/h100, unfused, batch=16, socket.memory.hbm.bandwidth=3.2TB/s or model=llama-3.1-70b"


def _said(option: str) -> str:
    return option.replace("_", "-")
