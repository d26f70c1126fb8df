"""A whole generation: one prefill, then a decode step for every further token over a context that grows by one.

A step's time is nearly linear in the context, so few contexts are simulated and the rest lies on straight lines between
them. Every quantity of the generation is then a weighted sum of those of the simulated steps (docs/cli.md, 'generate').
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from rdusim.report.spill import summed
from rdusim.report.summarize import throughput
from rdusim.report.types import DecodeStep, Intensity, Latency, Report, Setting, Simulator
from rdusim.report.weighted import Weighted, breakdown_of, links_of, memory_of, sections_of, total_of, unit_of

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


def generation(
    prefill: Report, decode: Mapping[int, Report], setting: Setting, *, tokens: int, peak_flops: float | None
) -> Report:
    """The report of a prefill and of the decode steps that the simulated ones stand for; `tokens` of all users."""
    contexts = sorted(decode)
    steps = list(zip(weights(contexts), (decode[context] for context in contexts), strict=True)) if contexts else []
    parts: Weighted = [(1.0, prefill), *steps]
    total = total_of(parts, lambda report: report.latency.total_seconds)
    count = sum(weight for weight, _ in steps)
    after_first = total - prefill.latency.total_seconds
    needed = total_of(parts, lambda report: report.throughput.flops_per_second * report.latency.total_seconds)
    return Report(
        setting=setting,
        latency=Latency(
            total_seconds=total,
            time_to_first_token_seconds=prefill.latency.total_seconds,
            time_per_output_token_seconds=after_first / count if steps else None,
        ),
        throughput=throughput(tokens, total, setting.batch, needed, peak_flops),
        memory=tuple(memory_of(parts, index, total) for index in range(len(prefill.memory))),
        units=tuple(unit_of(parts, index, total) for index in range(len(prefill.units))),
        links=links_of(parts, total),
        sections=(*sections_of([parts[0]], "prefill"), *sections_of(steps, "decode")),
        kernel_launches=round(total_of(parts, lambda report: report.kernel_launches)),
        breakdown_seconds=breakdown_of(parts),
        operational_intensity=Intensity(
            flops=total_of(parts, lambda report: report.operational_intensity.flops),
            bytes=total_of(parts, lambda report: report.operational_intensity.bytes),
        ),
        notes=tuple(dict.fromkeys(note for _, report in parts for note in report.notes)),
        simulator=Simulator(version=prefill.simulator.version, decode_contexts=tuple(contexts)),
        spill=summed(parts),
        decode_steps=tuple(
            DecodeStep(
                context_tokens=context,
                steps=weight,
                seconds=report.latency.total_seconds,
                breakdown_seconds=report.breakdown_seconds,
            )
            for context, (weight, report) in zip(contexts, steps, strict=True)
        ),
    )
