"""What runs a batch of points, here or in another process: outcomes in order, one bad point spoils no other."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from rdusim.errors import RdusimError
from rdusim.explore.axes import Request
from rdusim.explore.evaluate import evaluate, metrics, serve_metrics
from rdusim.explore.serving import ServeRequest
from rdusim.explore.store import Outcome
from rdusim.pipeline import Cache

_KEPT = 256  # nouns: some tens of compiled programs, or all of one generation's
_here = threading.local()  # a worker's threads each have their own


def run_batch(requests: Sequence[Request], *, remap: bool, files: str) -> list[Outcome]:
    """Outcomes of the requests. What a worker compiled for one batch serves the next.

    `files`: a digest of the files that requests name; a cache takes them not to change, so others get a new one.
    """
    if getattr(_here, "files", None) != files:
        _here.files, _here.cache = files, Cache(most=_KEPT)
    return [_outcome(request, remap, _here.cache) for request in requests]


def _outcome(request: Request, remap: bool, cache: Cache) -> Outcome:
    try:
        if isinstance(request, ServeRequest):
            return Outcome(metrics=serve_metrics(request))
        return Outcome(metrics=metrics(evaluate(request, cache=cache, remap=remap)))
    except RdusimError as error:
        return Outcome(metrics=None, error="; ".join(str(problem) for problem in error.problems))
    except Exception as error:  # a point must not take the others with it; the next version may have mended it
        said = str(error).splitlines()[0] if str(error) else "no message"
        return Outcome(metrics=None, error=f"a bug in rdusim: {type(error).__name__}: {said}", lasting=False)
