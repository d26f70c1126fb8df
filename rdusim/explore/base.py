"""What every point begins with: a model and a machine that can be read at all, unless they are what varies."""

from __future__ import annotations

from collections.abc import Collection

from rdusim.arch.load import load_arch
from rdusim.errors import OptionError, Problem, RdusimError
from rdusim.explore.axes import Request
from rdusim.explore.serving import ServeRequest
from rdusim.graph.load import family_of, locate
from rdusim.graph.readers.document import Document
from rdusim.graph.settings import read_settings


def check_base(request: Request, varied: Collection[str]) -> None:
    """Raises OptionError for files that no point could be run with. `varied`: paths of the axes.

    A scenario is not judged: an axis may mend what is wrong with it.
    """
    if isinstance(request, ServeRequest):
        return
    problems: list[Problem] = []
    for name in ("model", "draft"):
        model = getattr(request, name)
        if model is not None and name not in varied:
            try:
                _read(model)
            except RdusimError as error:
                problems += error.problems
    if "arch" not in varied:
        try:
            load_arch(request.arch, request.overrides)
        except RdusimError as error:
            problems += error.problems
    if problems:
        raise OptionError(*problems)


def _read(model: str) -> None:
    """What can be read without a shape to run at."""
    path, _ = locate(model)
    if path.suffix == ".json":
        family_of(read_settings(path))
    else:
        Document(path)
