"""Every shipped model of a supported family runs in every phase, and never beats a roofline of the machine."""

from __future__ import annotations

from functools import cache

import pytest

from rdusim.arch.load import load_arch
from rdusim.graph.catalog import list_models
from rdusim.graph.models import ENCODERS, FAMILIES
from rdusim.pipeline import Cache, RunRequest, Stages
from rdusim.program.types import Program
from rdusim.report.types import Report

MODELS = [row for row in list_models() if row.supported]
DECODING = [row for row in MODELS if row.family != "yaml" and row.family not in ENCODERS]
CONFIGS = [row.name for row in DECODING]
FIRST_OF_FAMILY = list({row.family: row.name for row in reversed(DECODING)}.values())
GRAPHS = [row.name for row in MODELS if row.family == "yaml"]
PROMPT = 256
LONGER = {"llava-1.5-7b": 1024}  # an image alone is 576 tokens
ENCODING = [row.name for row in MODELS if row.family in ENCODERS]
ROUNDING = 1 + 1e-9


@cache
def sn40l_pcu_peak() -> float:
    """BF16 operations a second of one socket."""
    socket = load_arch("sn40l").socket
    return float(2 * socket.pcus * socket.tile.pcu.macs_per_cycle["bf16"] * socket.clock)


def check_rooflines(report: Report, program: Program) -> None:
    """No faster than the arithmetic on all systolic arrays, or the bytes over each memory; every weight is read."""
    arch, seconds = load_arch("sn40l"), report.latency.total_seconds * ROUNDING
    sockets = report.setting.sockets_used
    assert seconds > 0.0
    assert report.throughput.flops_per_second <= sn40l_pcu_peak() * sockets
    peak = {tier.name: tier.bandwidth for tier in arch.socket.memory}
    for use in report.memory:
        if use.tier in peak:
            moved = (use.read_bytes or 0.0) + (use.written_bytes or 0.0)
            assert seconds >= moved / sockets / peak[use.tier]
            assert (use.bandwidth_utilization or 0.0) <= 1.0
            assert use.peak_bytes <= use.capacity_bytes
    gathered = {load.buffer for section in program.sections for load in section.loads if load.gathered}
    weights = sum(buffer.size for buffer in program.buffers if buffer.role == "weight" and buffer.name not in gathered)
    assert sum(use.read_bytes or 0.0 for use in report.memory) >= weights * sockets
    assert sum(report.breakdown_seconds.values()) == pytest.approx(report.latency.total_seconds)
    assert all(0.0 <= use.busy <= ROUNDING and 0.0 <= use.configured <= 1.0 for use in report.units)


@pytest.mark.parametrize(
    ("model", "batch"), [*((name, 1) for name in CONFIGS), *((name, 16) for name in FIRST_OF_FAMILY)]
)
def test_a_model_runs_in_every_phase_within_the_rooflines(model: str, batch: int) -> None:
    """The generation shares its steps with the two others: it adds them up."""
    cache = Cache()
    reports, prompt = {}, LONGER.get(model, PROMPT)
    for phase, tokens in (
        ("prefill", {"input_tokens": prompt}),
        ("decode", {"context_tokens": prompt + 1}),
        ("generate", {"input_tokens": prompt, "output_tokens": 2}),
    ):
        stages = Stages(RunRequest(model=model, phase=phase, batch=batch, **tokens), cache=cache)
        reports[phase] = stages.report()
        if phase != "generate":
            check_rooflines(reports[phase], stages.program(stages.shape()))
    prefill, decode, generate = (reports[phase].latency.total_seconds for phase in ("prefill", "decode", "generate"))
    assert generate == pytest.approx(prefill + decode)
    assert prefill > decode / 2  # a prompt of many tokens is no less work than one


@pytest.mark.parametrize("model", ENCODING)
def test_an_encoder_runs_within_the_rooflines_and_more_of_it_takes_longer(model: str) -> None:
    one, many = (Stages(RunRequest(model=model, batch=batch)) for batch in (1, 16))
    for stages in (one, many):
        check_rooflines(stages.report(), stages.program(stages.shape()))
    assert many.report().latency.total_seconds > one.report().latency.total_seconds


@pytest.mark.parametrize("model", GRAPHS)
def test_a_graph_runs_within_the_rooflines(model: str) -> None:
    stages = Stages(RunRequest(model=model))
    check_rooflines(stages.report(), stages.program(stages.shape()))


def test_every_supported_family_is_among_the_shipped_models() -> None:
    assert FAMILIES.keys() <= {row.family for row in MODELS}
