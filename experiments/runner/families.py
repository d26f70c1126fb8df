"""Which experiments have runs in common, so that these are made once and forgotten when nobody needs them any more."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from rdusim.baselines.published import Case
from rdusim.pipeline import RunRequest
from runner.rows import request_of
from runner.types import Asked, Experiment, Ran


def families(experiments: Sequence[Experiment]) -> list[list[Experiment]]:
    """Experiments that share runs stand together, directly or through another; else the order stays."""
    found: list[tuple[list[Experiment], set[RunRequest]]] = []
    for experiment in experiments:
        family, runs = [experiment], {run for asked in experiment.asked for run in _runs(asked)}
        apart = []
        for members, theirs in found:
            if runs & theirs:
                family, runs = [*members, *family], runs | theirs
            else:
                apart.append((members, theirs))
        found = [*apart, (family, runs)]
    return [family for family, _ in found]


def _runs(asked: Asked) -> Iterator[RunRequest]:
    """What is compiled for a row. Who starts the kernels does not change what they are."""
    if isinstance(asked.ask, Ran):
        both: tuple[RunRequest | Case | None, ...] = (asked.ask.request, asked.ask.against)
    else:
        both = (asked.ask.row.case, asked.ask.row.against)
    for run in both:
        if run is not None:
            request = request_of(run) if isinstance(run, Case) else run
            yield replace(request, orchestration=None, kernel_looping=False)
