"""What a sweep is asked: a run, what varies, what is wanted of it. From the command line, or from a YAML file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from rdusim.errors import OptionError, Problem, RdusimError
from rdusim.explore.axes import Request, axis, canonical, options
from rdusim.explore.serving import ServeRequest
from rdusim.explore.space import LHS, Wanted
from rdusim.graph.readers.document import Document, Node
from rdusim.pipeline.request import RunRequest

SCHEMA: Final = "rdusim-sweep/1"
_YAML: Final = (".yaml", ".yml")
_KEYS: Final = (
    "schema",
    "title",
    "scenario",
    "set",
    "vary",
    "zip",
    "samples",
    "sampling",
    "seed",
    "objective",
    "pareto",
    "metrics",
    "remap",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Experiment:
    """A request and its axes; `objectives`, `pareto` and `metrics` are names of columns as written."""

    request: Request
    title: str
    wanted: tuple[Wanted, ...]
    zipped: tuple[tuple[str, ...], ...] = ()
    samples: int | None = None
    sampling: str = LHS
    seed: int = 0
    objectives: tuple[str, ...] = ()
    pareto: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()
    remap: bool = False


def wanted_of(text: str) -> Wanted:
    """The axis of `--vary PATH=VALUES`. Raises OptionError."""
    path, equals, values = text.partition("=")
    if not equals or not path.strip():
        message = f"{text!r} is not of the form PATH=VALUES"
        raise OptionError(Problem(field="--vary", message=message, hint="such as batch=1,2,4"))
    return Wanted(path=canonical(path), text=values.strip(), place=Problem(message="", file="--vary"))


def words_of(experiment: Experiment) -> list[str]:
    """What the command line says of a sweep beside its run."""
    words = [word for each in experiment.wanted for word in ("--vary", f"{each.path}={each.text}")]
    words += [word for group in experiment.zipped for word in ("--zip", ",".join(group))]
    if experiment.samples is not None:
        words += ["--samples", str(experiment.samples), "--sampling", experiment.sampling]
        words += ["--seed", str(experiment.seed)]
    words += [word for name in experiment.objectives for word in ("--objective", name)]
    for flag, names in (("--pareto", experiment.pareto), ("--metrics", experiment.metrics)):
        words += [flag, ",".join(names)] if names else []
    return [*words, "--remap"] if experiment.remap else words


def is_experiment(path: str) -> bool:
    """Whether a file is one: a YAML file whose schema says so."""
    return _has_schema(path, "rdusim-sweep/")


def is_scenario(path: str) -> bool:
    """Whether a file is what `rdusim serve` takes."""
    return _has_schema(path, "rdusim-scenario/")


def _has_schema(path: str, schema: str) -> bool:
    if not path.endswith(_YAML) or not Path(path).is_file():
        return False
    try:
        with Path(path).open(encoding="utf-8") as lines:
            return any(line.partition(":")[0].strip() == "schema" and schema in line for line in lines)
    except (OSError, UnicodeDecodeError):
        return False


def read_experiment(path: Path) -> Experiment:
    """Raises an RdusimError with everything that is wrong with the file, each with its line."""
    document = Document(path)
    known = (*_KEYS, *(name.replace("_", "-") for name in options()), *options())
    top = document.mapping(document.root, "", tuple(dict.fromkeys(known)))
    _schema(document, top)
    request = _scenario(document, top, path.parent) if "scenario" in top else _request(document, top)
    experiment = Experiment(
        request=request,
        title=document.text(top["title"], "title") if "title" in top else path.stem,
        wanted=tuple(_vary(document, top.get("vary"))),
        zipped=tuple(tuple(_texts(document, group, "zip")) for group in document.sequence(top.get("zip"), "zip")),
        samples=document.whole(top["samples"], "samples") if "samples" in top else None,
        sampling=document.text(top["sampling"], "sampling") if "sampling" in top else LHS,
        seed=_seed(document, top.get("seed")),
        objectives=tuple(_texts(document, top.get("objective"), "objective")),
        pareto=tuple(_texts(document, top.get("pareto"), "pareto")),
        metrics=tuple(_texts(document, top.get("metrics"), "metrics")),
        remap=document.word(top.get("remap"), "remap", ("true", "false"), "false") == "true",
    )
    document.check()
    return experiment


def _schema(document: Document, top: dict[str, Node]) -> None:
    said = document.text(top["schema"], "schema") if "schema" in top else None
    if said != SCHEMA:
        message = "is missing" if said is None else f"{said!r} is not a schema this rdusim reads"
        document.wrong(top.get("schema"), message, field="schema", hint=f"write 'schema: {SCHEMA}' as the first line")


def _scenario(document: Document, top: dict[str, Node], folder: Path) -> ServeRequest:
    """A scenario says everything itself."""
    for key, node in top.items():
        if canonical(key) in options() or key == "set":
            hint = "vary it, or write it into the scenario"
            document.wrong(node, "is what a scenario says itself", field=key, hint=hint)
    return ServeRequest(file=str(folder / document.text(top["scenario"], "scenario")))


def _request(document: Document, top: dict[str, Node]) -> RunRequest:
    """The options of the run; each is judged as an axis of one value would be."""
    found: dict[str, Any] = {}
    named = {canonical(key): node for key, node in top.items() if canonical(key) in options()}
    if "model" not in named:
        document.wrong(document.root, "is missing", field="model", hint="such as 'model: llama-3.1-8b'")
    for name, node in named.items():
        text = document.text(node, name)
        if name in ("model", "arch", "draft", "memory_hints"):
            found[name] = text
            continue
        try:
            found[name] = axis(RunRequest(model=""), name, [text]).values[0].shown
        except RdusimError as error:
            for problem in error.problems:
                document.wrong(node, problem.message, field=name, hint=problem.hint)
    overrides = [
        f"{key}={document.text(node, f'set.{key}')}" for key, node in document.mapping(top.get("set"), "set").items()
    ]
    return RunRequest(**({"model": "", "overrides": tuple(overrides)} | found))


def _vary(document: Document, node: Node | None) -> list[Wanted]:
    if node is None:
        document.wrong(document.root, "is missing", field="vary", hint="a mapping from paths to values")
        return []
    found = []
    for path, values in document.mapping(node, "vary").items():
        mark = values.start_mark
        place = Problem(message="", file=document.file, line=mark.line + 1, column=mark.column + 1)
        if isinstance(values, yaml.SequenceNode):
            # A bar behind each: values may hold commas.
            text = "".join(f"{each}|" for each in _texts(document, values, f"vary.{path}"))
        else:
            text = document.text(values, f"vary.{path}")
        found.append(Wanted(path=canonical(path), text=text, place=place))
    return found


def _texts(document: Document, node: Node | None, field: str) -> list[str]:
    """One text, or a list of them."""
    if isinstance(node, yaml.ScalarNode):
        return [str(node.value)]
    return [document.text(each, field) for each in document.sequence(node, field)]


def _seed(document: Document, node: Node | None) -> int:
    if node is None:
        return 0
    text = document.text(node, "seed")
    if not (text.isascii() and text.isdigit()):
        document.wrong(node, f"{text!r} is not a seed", field="seed", hint="a whole number of at least 0")
        return 0
    return int(text)
