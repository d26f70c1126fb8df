"""Launches counted anew give what a whole simulation gives."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rdusim.arch.load import load_arch
from rdusim.errors import ArchError
from rdusim.explore.relaunch import timed_run, with_values
from rdusim.pipeline import Cache, RunRequest, Stages

COSTS = ("launch.execute=4 us", "launch.program_bytes_per_unit=9000 B", "system.host.latency=7 us")
DECODE = RunRequest(model="gpt2", phase="decode", context_tokens=64, sockets=1)
REQUESTS = {
    "hardware": DECODE,
    "looped": replace(DECODE, kernel_looping=True),
    "host": replace(DECODE, orchestration="host"),
    "unfused": replace(DECODE, fusion="unfused", orchestration="host"),
    "generation": replace(DECODE, phase="generate", context_tokens=None, input_tokens=32, output_tokens=8),
}


@pytest.mark.parametrize("request_", REQUESTS.values(), ids=REQUESTS)
def test_launches_counted_anew_are_those_of_a_simulation(request_: RunRequest) -> None:
    cache = Cache()
    timed = timed_run(Stages(request_, cache=cache))
    unchanged = Stages(request_, cache=cache).report().latency.total_seconds
    assert timed.seconds(load_arch("sn40l")) == pytest.approx(unchanged, rel=1e-12)
    changed = replace(request_, overrides=COSTS, compiled_overrides=())
    slower = Stages(changed, cache=cache).report().latency.total_seconds
    assert slower > 1.01 * unchanged
    assert timed.seconds(load_arch("sn40l", COSTS)) == pytest.approx(slower, rel=1e-3 if timed.contexts else 1e-12)


def test_contexts_of_a_generation_can_be_given() -> None:
    timed = timed_run(Stages(REQUESTS["generation"]), (33, 39))
    assert timed.contexts == (33, 39)
    assert sum(weight for weight, _ in timed.parts) == 8


def test_values_are_put_in_at_dotted_paths() -> None:
    arch = load_arch("sn40l")
    changed = with_values(arch, {"launch.execute": 2e-6, "system.host.latency": 3e-6})
    assert changed == load_arch("sn40l", ("launch.execute=2 us", "system.host.latency=3 us"))
    assert arch == load_arch("sn40l")
    with pytest.raises((TypeError, AttributeError, ArchError)):
        with_values(arch, {"launch.nothing": 1.0})
