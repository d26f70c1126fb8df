"""`load_graph`: a shipped name, a config.json (or its folder) or a YAML graph becomes an OperatorGraph."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rdusim.dtypes import DType
from rdusim.errors import GraphError, Problem
from rdusim.graph.check import check_experts, check_graph, check_shape, suggestion
from rdusim.graph.models import ENCODERS, FAMILIES, PROMPTS, Family
from rdusim.graph.settings import Settings, read_settings
from rdusim.graph.types import OperatorGraph, Phase, RunShape
from rdusim.shipped import names, shipped

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Abilities:
    """Which runs a config.json has.

    `decodes`: token after token; `positions`: how far they reach, None: not said; `least_prompt`: tokens of a prompt.
    """

    decodes: bool
    positions: int | None
    least_prompt: int = 1


def load_graph(path_or_name: str | Path, shape: RunShape) -> OperatorGraph:
    """The operators of one run of `shape`, of the whole model: extents, bytes and FLOPs are those before any sharding.

    Raises GraphError with every problem found, with file and line. A shipped name wins over a file of that name in the
    working directory: write ./name for the file.
    """
    check_shape(shape)
    path, name = locate(path_or_name)
    if path.suffix in (".yaml", ".yml"):
        from rdusim.graph.readers.yaml import read_yaml

        return read_yaml(path, shape)
    settings = read_settings(path)
    family = family_of(settings)
    _check_phase(settings, name, shape)
    graph = family.build(settings, name, shape)
    check_graph(graph)
    check_experts(graph, shape)
    return graph


def load_constants(path_or_name: str | Path, shape: RunShape) -> dict[str, NDArray[Any]]:
    """Values of the CONSTANT tensors of the graph that `load_graph` makes of a config.json, for `evaluate`."""
    check_shape(shape)
    path, _ = locate(path_or_name)
    settings = read_settings(path)
    return family_of(settings).constants(settings, shape)


def abilities(settings: Settings) -> Abilities:
    """What the settings say about runs of the model."""
    if (tokens := ENCODERS.get(settings.model_type)) is not None:
        return Abilities(decodes=False, positions=tokens(settings))
    least = PROMPTS[settings.model_type](settings) if settings.model_type in PROMPTS else 1
    positions = settings.language().optional_size("max_position_embeddings")
    return Abilities(decodes=True, positions=positions, least_prompt=least)


def probe(settings: Settings, dtype: DType = "bf16") -> RunShape:
    """A run of one sequence to read sizes from: the smallest decode step that has a past; of an encoder, all tokens."""
    able = abilities(settings)
    phase, queries, context = (Phase.DECODE, 1, 2) if able.decodes else (Phase.PREFILL, *(able.positions or 1,) * 2)
    return RunShape(phase=phase, batch=1, query_tokens=queries, context_tokens=context, dtype=dtype)


def locate(path_or_name: str | Path) -> tuple[Path, str]:
    """The file to read, and what the model is called."""
    if not str(path_or_name).strip():
        raise GraphError(Problem(message="no model is named", hint="`rdusim models list` prints what is shipped"))
    if str(path_or_name) in names("graphs"):
        return shipped_file(str(path_or_name)), str(path_or_name)
    path = Path(path_or_name)
    if path.is_dir():
        if not (path / "config.json").is_file():
            raise GraphError(Problem(message="has no config.json", file=str(path)))
        return path / "config.json", path.resolve().name
    if not path.is_file():
        hint = suggestion(str(path_or_name), names("graphs")) or "`rdusim models list` prints what is shipped"
        raise GraphError(Problem(message=f"no model or file {str(path_or_name)!r}", hint=hint))
    if path.suffix not in (".json", ".yaml", ".yml"):
        message = f"a model is a .json (Hugging Face) or .yaml file, not {path.suffix or 'a file without suffix'}"
        raise GraphError(Problem(message=message, file=str(path)))
    return path, path.resolve().parent.name if path.name == "config.json" else path.stem


def shipped_file(name: str) -> Path:
    """The file of a shipped model."""
    folder = shipped("graphs")
    config = folder / name / "config.json"
    return config if config.is_file() else folder / f"{name}.yaml"


def family_of(settings: Settings) -> Family:
    """Raises GraphError, in one line, for a family that is not supported."""
    if (family := FAMILIES.get(settings.model_type)) is None:
        line, column = settings.place("model_type")
        raise GraphError(
            Problem(message=unsupported(settings), file=settings.file, line=line, column=column, field="model_type")
        )
    return family


def _check_phase(settings: Settings, name: str, shape: RunShape) -> None:
    """An encoder sees all tokens at once."""
    past = shape.phase is Phase.DECODE or shape.query_tokens < shape.context_tokens
    if past and settings.model_type in ENCODERS:
        message = f"{name} is an encoder: it sees all tokens at once and has no decode step"
        raise GraphError(Problem(field="phase", message=message, hint="prefill or train"))


def unsupported(settings: Settings) -> str:
    known = ", ".join(FAMILIES)
    if "model_type" not in settings.values:
        return f"is missing; supported: {known}"
    return f"{settings.model_type!r} is not supported yet; supported: {known}"
