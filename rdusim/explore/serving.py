"""A scenario of `rdusim serve` as what is swept: its fields by path, and the figures of its report."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from rdusim.errors import Problem, RdusimError
from rdusim.graph.load import locate

if TYPE_CHECKING:
    from rdusim.pipeline.scenario_types import Scenario


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeRequest:
    """A scenario's file, and values that take the place of what it says: `scheduler.batch`, `hbm.cache`."""

    file: str
    changes: tuple[tuple[str, str], ...] = ()


def with_change(request: ServeRequest, path: str, text: str) -> ServeRequest:
    return replace(request, changes=(*request.changes, (path, text)))


def scenario_problems(request: ServeRequest, path: str, texts: Sequence[str]) -> list[Problem]:
    """What is wrong with values of a path, each in the scenario alone, as the scenario's reader finds it.

    What is wrong together with another field only, or mended by one, is found at the points.
    """
    found: list[Problem] = []
    for text in texts:
        try:
            scenario_of(with_change(request, path, text))
        except RdusimError as error:
            own = [problem for problem in error.problems if _is_of(problem, path)]
            found += [replace(problem, file=None, line=None, column=None, field=path) for problem in own]
        if found:
            break  # an unknown field is unknown with every value
    return found


def _is_of(problem: Problem, path: str) -> bool:
    """Whether a problem is the value's own, or that no such field is known."""
    return problem.field == path or (problem.line is None and "is not known" in problem.message)


def scenario_of(request: ServeRequest) -> Scenario:
    """The scenario with the changes in it. Raises RdusimError."""
    from rdusim.pipeline.scenario import load_scenario

    return load_scenario(request.file, request.changes)


def content_of(request: ServeRequest) -> str:
    """A digest of what the scenario says, of its machine, models and traces; of one that is wrong, of its words."""
    try:
        scenario = scenario_of(request)
        said = [repr(replace(scenario, file=Path())), *_contents(scenario)]
    except (RdusimError, OSError) as error:
        said = [repr(request.changes), str(error)]
    return sha256(repr(said).encode()).hexdigest()


def _contents(scenario: Scenario) -> Iterator[str]:
    from rdusim.arch.load import load_arch
    from rdusim.baselines.gpu.load import FOLDER, load_gpu

    machine = scenario.machine
    load = load_gpu if machine.arch.startswith(f"{FOLDER}/") else load_arch
    yield repr(load(machine.arch, machine.overrides))
    models = {entry.model for entry in scenario.experts} | {scenario.router.model or ""}
    files = [locate(model)[0] for model in sorted(models - {""})]
    files += [each.file for each in (scenario.trace, scenario.lengths) if each is not None and each.file is not None]
    if scenario.arrivals is not None and scenario.arrivals.folder is not None:
        files += sorted(file for file in scenario.arrivals.folder.iterdir() if file.is_file())
    for file in files:
        yield sha256(file.read_bytes()).hexdigest()
