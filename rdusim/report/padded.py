"""Static shapes: what runs is what the machine was compiled for; what counts is what was asked for.

SambaNova compiles a model for one length and one batch; shorter prompts and smaller batches are padded (facts/sn40l.md:
product documents of 2024).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from rdusim.report.summarize import throughput
from rdusim.report.types import Report


def padded(report: Report, batch: int, tokens: int, flops: Callable[[], float]) -> Report:
    """The report of a padded run: rates of the `tokens` and sequences that are wanted, and a note about the rest.

    `flops`: model FLOPs of what is wanted. Operational intensity stays that of what runs.

    A run of its own shape comes back as it is.
    """
    setting = report.setting
    if setting.compiled_tokens is None and setting.compiled_batch is None:
        return report
    before = report.throughput
    peak = before.model_flops_utilization and before.flops_per_second / before.model_flops_utilization
    rates = throughput(tokens, report.latency.total_seconds, batch, flops(), peak)
    asked = setting.context_tokens or (setting.input_tokens or 0) + (setting.output_tokens or 0)
    said = [
        f"{name} {wanted} runs as {compiled}"
        for name, wanted, compiled in (
            ("length", asked, setting.compiled_tokens),
            ("batch", batch, setting.compiled_batch),
        )
        if compiled is not None and compiled != wanted
    ]
    notes = (f"compiled shapes: {', '.join(said)}; the padding is computed, not counted",) if said else ()
    return replace(report, setting=replace(setting, batch=batch), throughput=rates, notes=(*report.notes, *notes))
