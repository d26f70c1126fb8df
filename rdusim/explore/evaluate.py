"""One point: its report, with what was compiled before where that is allowed, and its figures by dotted name."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from rdusim.errors import ArchError
from rdusim.explore.serving import ServeRequest, scenario_of
from rdusim.pipeline import Cache, RunRequest, answer
from rdusim.report.export import Json, as_json
from rdusim.report.types import Report

# Lists of a report, and the field that tells their entries apart: `memory.hbm.peak_bytes`, `sections.decoder.seconds`.
_NAMED: Final = {"memory": "tier", "units": "unit", "sections": "name"}
_OTHER: Final = ("notes", "simulator", "plans", "step_costs")  # no figures of the run
BOUND: Final = "bound"  # the cause that takes most of the time

Metric = float | int | str | bool


def evaluate(request: RunRequest, *, cache: Cache, remap: bool = False) -> Report:
    """The report of a request. Raises RdusimError as a run does.

    A request whose rates alone differ from its `compiled_overrides` runs what is compiled for those, once for all that
    share them in `cache`. `remap`: it is compiled for its own machine, as `rdusim run` does.
    """
    if not remap:
        try:
            return answer(request, cache=cache)
        except ArchError:
            # The machine to compile for may be none where the one that runs is: then there is nothing to share.
            if request.compiled_overrides is None:
                raise
    return answer(replace(request, compiled_overrides=None), cache=cache)


def metrics(report: Report) -> dict[str, Metric]:
    """Figures of a report by dotted names of the JSON of `rdusim run`: `latency.total_seconds`, `bound`, ...

    What depends on the machine that simulates (`simulator`) is left out, so equal requests give equal metrics.
    """
    found = dict(_flat(as_json(report), ""))
    if report.breakdown_seconds:
        found[BOUND] = max(report.breakdown_seconds, key=lambda cause: report.breakdown_seconds[cause])
    return found


def serve_metrics(request: ServeRequest) -> dict[str, Metric]:
    """Figures of serving a scenario, by dotted names of the JSON of `rdusim serve`. Raises RdusimError."""
    from rdusim.pipeline.serving import simulate_serving
    from rdusim.report.serving import as_json as json_of

    return dict(_flat(json_of(simulate_serving(scenario_of(request))), ""))


def _flat(value: Json, path: str) -> Iterator[tuple[str, Metric]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            if path or key not in _OTHER:
                yield from _flat(inner, f"{path}.{key}" if path else key)
    elif isinstance(value, list):
        if (by := _NAMED.get(path)) is None or not all(isinstance(entry, dict) and by in entry for entry in value):
            return
        for entry in value:
            assert isinstance(entry, dict)
            rest = {key: inner for key, inner in entry.items() if key != by}
            yield from _flat(rest, f"{path}.{entry[by]}")
    elif value is not None:
        yield path, value
