"""One round of speculative decoding as a step: a draft model proposes, the target checks all proposals at once.

Leviathan, Kalman, Matias 2023 (arXiv 2211.17192), eq. 1: with `length` proposals, each accepted with probability a
independently, a round makes (1 - a^(length + 1)) / (1 - a) tokens on average.
"""

from __future__ import annotations

from dataclasses import replace

from rdusim.report.summarize import throughput
from rdusim.report.types import Intensity, Latency, MemoryUse, Report
from rdusim.report.weighted import (
    Weighted,
    breakdown_of,
    links_of,
    memory_of,
    sections_of,
    total_of,
    unit_of,
)


def tokens_per_round(acceptance: float, length: int) -> float:
    """Expected tokens that a round makes: at least 1 (the target's own), at most length + 1."""
    if acceptance == 1.0:
        return float(length + 1)
    return (1.0 - acceptance ** (length + 1)) / (1.0 - acceptance)


def speculative(
    draft: Report, verify: Report, *, length: int, acceptance: float, needed: float, peak_flops: float | None
) -> Report:
    """A step that makes one token of each sequence: the part of a round that one token stands for.

    `needed`: FLOPs of a step of the target alone. What the draft does and tokens that are rejected are no more of the
    model's than padding is.
    """
    share = 1.0 / tokens_per_round(acceptance, length)
    made = _joined(draft, verify, (length * share, share), ("draft", "verify"), needed, peak_flops)
    setting = replace(verify.setting, draft=draft.setting.model, draft_length=length, acceptance_rate=acceptance)
    said = _said(draft, verify, length, acceptance)
    total = made.latency.total_seconds
    latency = Latency(total_seconds=total, time_per_output_token_seconds=total)
    return replace(made, setting=setting, latency=latency, notes=(said, *made.notes))


def prefill(draft: Report, target: Report, *, peak_flops: float | None) -> Report:
    """Both models read the prompt, one after the other."""
    needed = target.operational_intensity.flops
    made = _joined(draft, target, (1.0, 1.0), ("draft", "target"), needed, peak_flops)
    total = made.latency.total_seconds
    return replace(made, latency=Latency(total_seconds=total, time_to_first_token_seconds=total))


def _joined(
    draft: Report,
    target: Report,
    weights: tuple[float, float],
    names: tuple[str, str],
    needed: float,
    peak_flops: float | None,
) -> Report:
    """Runs of two models that stay in memory together, so that their peaks add up. `needed`: FLOPs that count."""
    parts: Weighted = list(zip(weights, (draft, target), strict=True))
    total = total_of(parts, lambda report: report.latency.total_seconds)
    tokens = (target.throughput.tokens_per_second or 0.0) * target.latency.total_seconds
    batch = target.setting.batch
    return replace(
        target,
        latency=Latency(total_seconds=total),
        throughput=throughput(tokens, total, batch, needed, peak_flops),
        memory=tuple(_memory(parts, index, total) for index in range(len(target.memory))),
        units=tuple(unit_of(parts, index, total) for index in range(len(target.units))),
        links=links_of(parts, total),
        sections=tuple(
            section for part, name in zip(parts, names, strict=True) for section in sections_of([part], name)
        ),
        kernel_launches=max(1, round(total_of(parts, lambda report: report.kernel_launches))),
        breakdown_seconds=breakdown_of(parts),
        operational_intensity=Intensity(
            flops=total_of(parts, lambda report: report.operational_intensity.flops),
            bytes=total_of(parts, lambda report: report.operational_intensity.bytes),
        ),
        notes=tuple(dict.fromkeys((*draft.notes, *target.notes))),
    )


def _memory(parts: Weighted, index: int, total: float) -> MemoryUse:
    use = memory_of(parts, index, total)
    if use.read_bytes is None:  # SRAM: one of them runs at a time
        return use
    tiers = [report.memory[index] for _, report in parts]
    return replace(use, capacity_bytes=tiers[0].capacity_bytes, peak_bytes=sum(tier.peak_bytes for tier in tiers))


def _said(draft: Report, verify: Report, length: int, acceptance: float) -> str:
    made = tokens_per_round(acceptance, length)
    drafted = length * draft.latency.total_seconds
    share = drafted / (drafted + verify.latency.total_seconds)
    return (
        f"speculative decoding: rounds of {length} drafted tokens, {made:.3g} made on average at an acceptance rate of "
        f"{acceptance:g}; drafting takes {100 * share:.0f}% of a round"
    )
