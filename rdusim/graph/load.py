"""`load_graph`: a shipped name, a config.json (or its folder) or a YAML graph becomes an OperatorGraph."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from rdusim.errors import GraphError, Problem
from rdusim.graph.check import check_experts, check_graph, check_shape, suggestion
from rdusim.graph.models import FAMILIES, Family
from rdusim.graph.settings import Settings, read_settings
from rdusim.graph.types import OperatorGraph, RunShape
from rdusim.shipped import names, shipped

if TYPE_CHECKING:
    from numpy.typing import NDArray


def load_graph(path_or_name: str | Path, shape: RunShape) -> OperatorGraph:
    """The operators of one run of `shape`. Raises GraphError with every problem found.

    A shipped name wins over a file of that name in the working directory: write ./name for the file.
    """
    check_shape(shape)
    path, name = locate(path_or_name)
    if path.suffix in (".yaml", ".yml"):
        from rdusim.graph.readers.yaml import read_yaml

        return read_yaml(path, shape)
    settings = read_settings(path)
    graph = family_of(settings).build(settings, name, shape)
    check_graph(graph)
    check_experts(graph, shape)
    return graph


def load_constants(path_or_name: str | Path, shape: RunShape) -> dict[str, NDArray[Any]]:
    """Values of the CONSTANT tensors of the graph that `load_graph` makes of a config.json, for `evaluate`."""
    check_shape(shape)
    path, _ = locate(path_or_name)
    settings = read_settings(path)
    return family_of(settings).constants(settings, shape)


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


def unsupported(settings: Settings) -> str:
    known = ", ".join(FAMILIES)
    if "model_type" not in settings.values:
        return f"is missing; supported: {known}"
    return f"{settings.model_type!r} is not supported yet; supported: {known}"
