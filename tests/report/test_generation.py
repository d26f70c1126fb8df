from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import isclose

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rdusim.report.generation import TOLERANCE, generation, sample, weights
from rdusim.report.types import Report


@given(st.lists(st.integers(min_value=1, max_value=5000), min_size=1, max_size=12, unique=True), st.floats(-5, 5))
def test_weights_sum_a_straight_line_exactly(contexts: list[int], slope: float) -> None:
    contexts.sort()
    every = range(contexts[0], contexts[-1] + 1)
    summed = sum(weight * (7 + slope * context) for weight, context in zip(weights(contexts), contexts, strict=True))
    assert isclose(sum(weights(contexts)), len(every))
    assert isclose(summed, sum(7 + slope * context for context in every), rel_tol=1e-9, abs_tol=1e-6)


STEPS: dict[str, Callable[[int], float]] = {
    "line": lambda context: 1 + 1e-3 * context,
    "curve": lambda context: 1 + 1e-7 * context**2,
    "knee": lambda context: max(1.0, context / 700),
    "jump": lambda context: 1.0 if context < 1234 else 1.4,
    "saw": lambda context: 1 + (context % 512) / 2048,
}


@pytest.mark.parametrize("kind", STEPS)
@pytest.mark.parametrize(("first", "last"), [(2, 2), (2, 3), (129, 255), (1025, 4095)])
def test_few_contexts_stand_for_all_within_the_tolerance(kind: str, first: int, last: int) -> None:
    step = STEPS[kind]
    contexts = sample(step, first, last)
    truth = sum(step(context) for context in range(first, last + 1))
    summed = sum(weight * step(context) for weight, context in zip(weights(contexts), contexts, strict=True))
    assert summed == pytest.approx(truth, rel=TOLERANCE)
    assert len(contexts) <= 3 if kind == "line" else len(contexts) < 70


def at(report: Report, seconds: float) -> Report:
    """The report of a step that takes `seconds`, all in one cause and one section."""
    scale = seconds / report.latency.total_seconds
    return replace(
        report,
        latency=replace(report.latency, total_seconds=seconds),
        breakdown_seconds={cause: scale * share for cause, share in report.breakdown_seconds.items()},
        sections=tuple(replace(section, seconds=scale * section.seconds) for section in report.sections),
    )


@pytest.fixture
def whole(report: Report) -> Report:
    """Prefill of 1 s and steps that take 1 ms at context 11 and 3 ms at context 31: 21 steps, 22 tokens of 2 users."""
    decode = {11: at(report, 1e-3), 21: at(report, 2e-3), 31: at(report, 3e-3)}
    setting = replace(report.setting, phase="generate", output_tokens=22)
    return generation(at(report, 1.0), decode, setting, tokens=44, peak_flops=None)


def test_a_generation_is_prefill_plus_every_step(whole: Report) -> None:
    assert whole.latency.time_to_first_token_seconds == 1.0
    assert whole.latency.time_per_output_token_seconds == pytest.approx(2e-3)
    assert whole.latency.total_seconds == pytest.approx(1.0 + 21 * 2e-3)
    assert whole.throughput.tokens_per_second == pytest.approx(44 / 1.042)


def test_time_bytes_and_launches_of_a_generation_add_up(whole: Report, report: Report) -> None:
    total = whole.latency.total_seconds
    assert isclose(sum(whole.breakdown_seconds.values()), total)
    assert isclose(sum(section.seconds for section in whole.sections), total)
    assert whole.kernel_launches == 22 * report.kernel_launches
    assert whole.memory[1].read_bytes == pytest.approx(22 * (report.memory[1].read_bytes or 0))
    names = [section.name for section in whole.sections]
    assert names == ["prefill/decoder", "prefill/head", "decode/decoder", "decode/head"]
    assert whole.sections[2].repeats == 21 * 4
    assert sum(section.flops for section in whole.sections) == 22 * sum(section.flops for section in report.sections)
    steps = whole.decode_steps or ()
    assert [(step.context_tokens, step.seconds) for step in steps] == [(11, 1e-3), (21, 2e-3), (31, 3e-3)]
    assert 1.0 + sum(step.steps * step.seconds for step in steps) == pytest.approx(total)


def test_one_token_needs_no_decode_step(report: Report) -> None:
    only = generation(at(report, 1.0), {}, report.setting, tokens=2, peak_flops=None)
    assert only.latency.total_seconds == 1.0
    assert only.latency.time_per_output_token_seconds is None
