"""The composition root: from one request to its report. The only package that knows every stage."""

from __future__ import annotations

from rdusim.pipeline.request import RunRequest
from rdusim.pipeline.stages import Cache, Stages, answer, run

__all__ = ["Cache", "RunRequest", "Stages", "answer", "run"]
