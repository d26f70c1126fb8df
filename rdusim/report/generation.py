"""A whole generation: one prefill, then a decode step for every further token over a context that grows by one.

A step's time is nearly linear in the context, so few contexts are simulated and the rest lies on straight lines between
them. Every quantity of the generation is then a weighted sum of those of the simulated steps (docs/cli.md, 'generate').
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from rdusim.report.summarize import throughput
from rdusim.report.types import (
    Intensity,
    Latency,
    LinkUse,
    MemoryUse,
    Report,
    SectionUse,
    Setting,
    Simulator,
    UnitUse,
)

TOLERANCE = 0.005  # of the time of all decode steps together
_GOLDEN = 0.381966


def sample(step: Callable[[int], float], first: int, last: int, tolerance: float = TOLERANCE) -> tuple[int, ...]:
    """Contexts from `first` to `last` such that straight lines between them sum up to all steps within `tolerance`.

    An interval's error is that of the straight line at an inner point, times half its length. The interval with the
    largest error is split there until the errors sum to less than `tolerance` of the sum of all steps: a jump (other
    sections from some context on) costs a few splits, not a search for its exact place.
    """
    points = {context: step(context) for context in {first, last}}
    errors = _split(step, points, first, last)
    while sum(errors.values()) > tolerance * _total(points):
        begin, end = max(errors, key=lambda interval: errors[interval])
        del errors[begin, end]
        middle = _inside(begin, end)
        errors |= _split(step, points, begin, middle) | _split(step, points, middle, end)
    return tuple(sorted(points))


def _split(
    step: Callable[[int], float], points: dict[int, float], begin: int, end: int
) -> dict[tuple[int, int], float]:
    """Evaluate a point inside an interval; what a straight line over all of it would have missed."""
    if end - begin < 2:
        return {}
    middle = _inside(begin, end)
    points[middle] = step(middle)
    line = points[begin] + (points[end] - points[begin]) * (middle - begin) / (end - begin)
    return {(begin, end): abs(points[middle] - line) * (end - begin) / 2}


def _inside(begin: int, end: int) -> int:
    """The golden section: halving would meet steps that repeat (whole tiles of context) always at the same phase."""
    return min(max(begin + 1, begin + round(_GOLDEN * (end - begin))), end - 1)


def _total(points: Mapping[int, float]) -> float:
    contexts = sorted(points)
    return sum(weight * points[context] for context, weight in zip(contexts, weights(contexts), strict=True))


def weights(contexts: Sequence[int]) -> tuple[float, ...]:
    """How many steps each simulated context stands for, so that the weighted sum is the sum over every context.

    Between a and b = a + n, the steps a+1 .. b lie on a line: they weigh (n - 1) / 2 on a and (n + 1) / 2 on b.
    """
    found = [0.0] * len(contexts)
    found[0] = 1.0
    for index in range(1, len(contexts)):
        steps = contexts[index] - contexts[index - 1]
        found[index - 1] += (steps - 1) / 2
        found[index] += (steps + 1) / 2
    return tuple(found)


Weighted = Sequence[tuple[float, Report]]


def generation(
    prefill: Report, decode: Mapping[int, Report], setting: Setting, *, tokens: int, peak_flops: float | None
) -> Report:
    """The report of a prefill and of the decode steps that the simulated ones stand for; `tokens` of all users."""
    contexts = sorted(decode)
    steps = list(zip(weights(contexts), (decode[context] for context in contexts), strict=True)) if contexts else []
    parts: Weighted = [(1.0, prefill), *steps]
    total = _sum(parts, lambda report: report.latency.total_seconds)
    count = sum(weight for weight, _ in steps)
    after_first = total - prefill.latency.total_seconds
    flops = _sum(parts, lambda report: report.operational_intensity.flops)
    return Report(
        setting=setting,
        latency=Latency(
            total_seconds=total,
            time_to_first_token_seconds=prefill.latency.total_seconds,
            time_per_output_token_seconds=after_first / count if steps else None,
        ),
        throughput=throughput(tokens, total, setting.batch, flops, peak_flops),
        memory=tuple(_memory(parts, index, total) for index in range(len(prefill.memory))),
        units=tuple(_unit(parts, index, total) for index in range(len(prefill.units))),
        links=_links(parts, total),
        sections=(*_sections([parts[0]], "prefill"), *_sections(steps, "decode")),
        kernel_launches=round(_sum(parts, lambda report: report.kernel_launches)),
        breakdown_seconds=_breakdown(parts),
        operational_intensity=Intensity(
            flops=flops, bytes=_sum(parts, lambda report: report.operational_intensity.bytes)
        ),
        notes=tuple(dict.fromkeys(note for _, report in parts for note in report.notes)),
        simulator=Simulator(version=prefill.simulator.version, decode_contexts=tuple(contexts)),
    )


def _sum(parts: Weighted, quantity: Callable[[Report], float]) -> float:
    return sum(weight * quantity(report) for weight, report in parts)


def _memory(parts: Weighted, index: int, total: float) -> MemoryUse:
    """Bytes add up; the peak is the largest; streaming is that of the part that takes most of the time."""
    tiers = [(weight, report.memory[index]) for weight, report in parts]
    _, heaviest = max(parts, key=lambda part: part[0] * part[1].latency.total_seconds)
    tier = replace(heaviest.memory[index], peak_bytes=max(use.peak_bytes for _, use in tiers))
    if tier.read_bytes is None:
        return tier
    read = sum(weight * (use.read_bytes or 0.0) for weight, use in tiers)
    written = sum(weight * (use.written_bytes or 0.0) for weight, use in tiers)
    shares = (
        weight * report.latency.total_seconds * (report.memory[index].bandwidth_utilization or 0.0)
        for weight, report in parts
    )
    return replace(
        tier,
        read_bytes=read,
        written_bytes=written,
        achieved_bytes_per_second=(read + written) / total,
        bandwidth_utilization=sum(shares) / total,
    )


def _unit(parts: Weighted, index: int, total: float) -> UnitUse:
    def mean(share: Callable[[UnitUse], float]) -> float:
        return _sum(parts, lambda report: report.latency.total_seconds * share(report.units[index])) / total

    return replace(
        parts[0][1].units[index],
        peak=max(report.units[index].peak for _, report in parts),
        configured=mean(lambda unit: unit.configured),
        busy=mean(lambda unit: unit.busy),
    )


def _links(parts: Weighted, total: float) -> LinkUse | None:
    uses = [(weight, report.latency.total_seconds, report.links) for weight, report in parts if report.links]
    if not uses:
        return None
    return LinkUse(
        payload_bytes=sum(weight * links.payload_bytes for weight, _, links in uses),
        busy=sum(weight * seconds * links.busy for weight, seconds, links in uses) / total,
    )


def _breakdown(parts: Weighted) -> dict[str, float]:
    causes = {cause for _, report in parts for cause in report.breakdown_seconds}
    seconds = {
        cause: sum(weight * report.breakdown_seconds.get(cause, 0.0) for weight, report in parts) for cause in causes
    }
    return {cause: seconds[cause] for cause in sorted(seconds, key=lambda cause: (-seconds[cause], cause))}


def _sections(parts: Weighted, phase: str) -> list[SectionUse]:
    """Sections of the same name add up; their widths and bounds are those of the context that stands for most steps."""
    found: dict[str, list[tuple[float, SectionUse]]] = {}
    for weight, report in parts:
        for section in report.sections:
            found.setdefault(section.name, []).append((weight, section))
    return [_section(f"{phase}/{name}", uses) for name, uses in found.items()]


def _section(name: str, uses: Sequence[tuple[float, SectionUse]]) -> SectionUse:
    _, widest = max(uses, key=lambda use: use[0])
    executions = sum(weight * section.repeats for weight, section in uses)

    def mean(seconds: Callable[[SectionUse], float]) -> float:
        return sum(weight * section.repeats * seconds(section) for weight, section in uses) / executions

    def bound(resource: str) -> float:
        return mean(lambda section: section.bound_seconds.get(resource, 0.0))

    return replace(
        widest,
        name=name,
        repeats=round(executions),
        seconds=sum(weight * section.seconds for weight, section in uses),
        execution_seconds=mean(lambda section: section.execution_seconds),
        launch_seconds=mean(lambda section: section.launch_seconds),
        bound_seconds={resource: bound(resource) for resource in widest.bound_seconds},
    )
