"""Sums over runs of different programs: each weighs as often as it happens."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from rdusim.report.memory_loss import combined
from rdusim.report.types import LinkUse, MemoryUse, Report, SectionUse, UnitUse

Weighted = Sequence[tuple[float, Report]]


def total_of(parts: Weighted, quantity: Callable[[Report], float]) -> float:
    return sum(weight * quantity(report) for weight, report in parts)


def memory_of(parts: Weighted, index: int, total: float) -> MemoryUse:
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
    utilization = sum(shares) / total
    patterns = [
        (weight * ((use.read_bytes or 0.0) + (use.written_bytes or 0.0)), use.efficiency)
        for weight, use in tiers
        if use.efficiency is not None
    ]
    return replace(
        tier,
        read_bytes=read,
        written_bytes=written,
        achieved_bytes_per_second=(read + written) / total,
        bandwidth_utilization=utilization,
        efficiency=combined(patterns, utilization),
    )


def unit_of(parts: Weighted, index: int, total: float) -> UnitUse:
    def mean(share: Callable[[UnitUse], float]) -> float:
        return total_of(parts, lambda report: report.latency.total_seconds * share(report.units[index])) / total

    return replace(
        parts[0][1].units[index],
        peak=max(report.units[index].peak for _, report in parts),
        configured=mean(lambda unit: unit.configured),
        busy=mean(lambda unit: unit.busy),
    )


def links_of(parts: Weighted, total: float) -> LinkUse | None:
    uses = [(weight, report.latency.total_seconds, report.links) for weight, report in parts if report.links]
    if not uses:
        return None
    return LinkUse(
        payload_bytes=sum(weight * links.payload_bytes for weight, _, links in uses),
        busy=sum(weight * seconds * links.busy for weight, seconds, links in uses) / total,
    )


def breakdown_of(parts: Weighted) -> dict[str, float]:
    return summed((weight, report.breakdown_seconds) for weight, report in parts)


def summed(parts: Iterable[tuple[float, Mapping[str, float]]]) -> dict[str, float]:
    """Cause -> weighted sum of its seconds, largest first."""
    seconds: dict[str, float] = {}
    for weight, causes in parts:
        for cause, each in causes.items():
            seconds[cause] = seconds.get(cause, 0.0) + weight * each
    return {cause: seconds[cause] for cause in sorted(seconds, key=lambda cause: (-seconds[cause], cause))}


def repeated(section: SectionUse, count: int, name: str) -> SectionUse:
    """The same section under another name, run `count` times as often."""
    return replace(
        section,
        name=name,
        repeats=count * section.repeats,
        seconds=count * section.seconds,
        breakdown_seconds=summed([(count, section.breakdown_seconds)]),
        flops=count * section.flops,
        moved_bytes={where: count * moved for where, moved in section.moved_bytes.items()},
    )


def sections_of(parts: Weighted, phase: str) -> list[SectionUse]:
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
        repeats=max(1, round(executions)),
        seconds=sum(weight * section.seconds for weight, section in uses),
        execution_seconds=mean(lambda section: section.execution_seconds),
        launch_seconds=mean(lambda section: section.launch_seconds),
        bound_seconds={resource: bound(resource) for resource in widest.bound_seconds},
        breakdown_seconds=summed((weight, section.breakdown_seconds) for weight, section in uses),
        flops=sum(weight * section.flops for weight, section in uses),
        moved_bytes=summed((weight, section.moved_bytes) for weight, section in uses),
    )
