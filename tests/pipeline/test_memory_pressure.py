"""Models that do not fit the nearest tier: what goes, what it costs, and what a user may say about it."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from rdusim.errors import MappingError, OptionError
from rdusim.mapping.claim import rate_of
from rdusim.mapping.pieces import boundaries
from rdusim.pipeline import RunRequest, Stages
from rdusim.report.export import as_json
from rdusim.report.render import blocks
from rdusim.report.types import Report
from rdusim.sim.simulate import ENGINES
from rdusim.units import Bytes

LARGE = RunRequest(model="llama-3.1-405b", sockets=8)


@cache
def stages(request: RunRequest) -> Stages:
    return Stages(request)


@cache
def report(request: RunRequest) -> Report:
    return stages(request).report()


def test_a_model_that_fits_only_with_ddr_runs_and_says_what_that_costs() -> None:
    found = report(LARGE)
    assert found.spill is not None
    assert found.spill.added_seconds is not None
    assert found.spill.seconds_if_near is not None
    hbm, ddr = found.memory[1:3]
    assert 0.99 < hbm.peak_bytes / hbm.capacity_bytes <= 1.0  # only what must
    assert found.spill.bytes == pytest.approx(ddr.peak_bytes, rel=1e-3)
    assert found.spill.transfer_bytes == pytest.approx((ddr.read_bytes or 0) + (ddr.written_bytes or 0), rel=1e-3)
    assert found.spill.added_seconds + found.spill.seconds_if_near == pytest.approx(found.latency.total_seconds)
    # No quicker than the bytes over their memory.
    assert found.latency.total_seconds > found.spill.transfer_bytes / 8 / 200e9
    split = [symbol for symbol in found.spill.symbols if symbol.repeats != symbol.of_repeats]
    assert len(split) == 1
    assert "spill" in as_json(found)
    assert len(list(blocks(found))) == 7
    assert "spill" not in as_json(report(RunRequest(model="llama-3.1-405b", arch="sn40l-x16")))


def test_engines_agree_on_a_model_of_which_a_third_lies_in_ddr() -> None:
    mapping, arch = stages(LARGE).mapping(stages(LARGE).shape()), stages(LARGE).arch
    steady, discrete = (ENGINES[name](mapping, arch) for name in ("steady", "discrete"))
    assert steady.cycles == pytest.approx(discrete.cycles, rel=0.1)
    assert steady.read_bytes == pytest.approx(discrete.read_bytes)
    assert [(each.name, each.first, each.repeats) for each in steady.sections] == [
        (each.name, each.first, each.repeats) for each in discrete.sections
    ]
    near, far = steady.sections[1:3]
    assert near.repeats + far.repeats == 126
    assert near.execution_cycles < far.execution_cycles
    section = mapping.program.sections[1]
    assert boundaries(section, mapping.allocations) == {near.repeats}


@pytest.mark.parametrize(("model", "phase"), [("bloom-176b", "decode"), ("llama-2-70b", "decode")])
def test_models_of_the_paper_fit_eight_sockets(model: str, phase: str) -> None:
    asked = {"input_tokens": 8192} if phase == "prefill" else {"context_tokens": 8192}
    found = report(RunRequest(model=model, phase=phase, **asked))  # type: ignore[arg-type]
    assert found.spill is None
    assert 0 < found.memory[1].peak_bytes < found.memory[1].capacity_bytes


def test_kernel_looping_loops_within_the_repeats_of_one_tier() -> None:
    found = Stages(RunRequest(model="llama-3.1-405b", sockets=8, kernel_looping=True))
    launches = found.mapping(found.shape()).launches
    assert [launch.prefetch for launch in launches] == [False, True, True, False]
    assert found.trace(found.shape()).cycles < stages(LARGE).trace(stages(LARGE).shape()).cycles


def hinted(path: Path, text: str, model: str = "llama-3.1-8b", **options: object) -> Stages:
    file = path / "hints.yaml"
    file.write_text(text, encoding="utf-8")
    return Stages(RunRequest(model=model, memory_hints=str(file), **options))  # type: ignore[arg-type]


def test_hints_put_symbols_where_they_say(tmp_path: Path) -> None:
    found = hinted(tmp_path, 'symbols:\n  "decoder/attention.?_past": ddr\n')
    mapping = found.mapping(found.shape())
    far = {name for name, place in mapping.allocations.items() if place.tier == "ddr"}
    assert far == {"decoder/attention.k_past", "decoder/attention.v_past"}
    assert found.report().spill is not None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('symbols:\n  "decoder/*": dram\n', r"hints.yaml:2:16: symbols.decoder/\*: 'dram' is not known"),
        ("symbols:\n  a: ddr\nmore: 1\n", r"hints.yaml:3:1: the file: key 'more' is not known"),
        ("symbols:\n  decoder/kpast: ddr\n", r"hints.yaml:2: decoder/kpast: no symbol .* 'decoder/attention.k_past'"),
        (
            "symbols:\n  embedding/*: hbm\n  embedding/embed_tokens.w*: ddr\n",
            r"hints.yaml:3: .*'embedding/embed_tokens.weight' is to lie in ddr, and in hbm by .* \(line 2\)",
        ),
        ("{}", r"has no 'symbols'"),
        ("symbols: [", r"hints.yaml:\d+:\d+: no valid YAML"),
    ],
)
def test_wrong_hints_are_refused_with_file_and_line(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(OptionError, match=said):
        hinted(tmp_path, text).report()


def test_hints_that_do_not_fit_are_refused_with_sizes(tmp_path: Path) -> None:
    found = hinted(tmp_path, 'symbols:\n  "*": hbm\n', "llama-3.1-405b", sockets=8)
    with pytest.raises(MappingError, match=r"of a socket are to lie in hbm, which holds 64 GiB: 'decoder/mlp"):
        found.report()


def test_a_paged_cache_takes_whole_blocks_and_a_table() -> None:
    one = stages(RunRequest(model="llama-3.1-8b", batch=3, context_tokens=1000))
    blocks_of = stages(RunRequest(model="llama-3.1-8b", batch=3, context_tokens=1000, kv_cache="paged", kv_block=64))
    before = {buffer.name: buffer for buffer in one.program(one.shape()).buffers}
    after = {buffer.name: buffer for buffer in blocks_of.program(blocks_of.shape()).buffers}
    past = "decoder/attention.k_past"
    token = 128 * 2 * 3 * 32  # one head of a socket, bf16, three sequences, all layers
    assert before[past].size == 999 * token
    assert after[past].size == (16 * 64 - 1) * token  # the new token has its place in the last block
    assert after["kv_cache.table"].size == 3 * 16 * 4
    (load,) = (
        load for each in blocks_of.program(blocks_of.shape()).sections for load in each.loads if load.buffer == past
    )
    assert load.gathered
    assert load.contiguous == 64 * 128 * 2
    single = replace(load, contiguous=Bytes(64 // 2))  # blocks of less than a burst
    plain = replace(load, gathered=False, contiguous=Bytes(load.bytes))
    for tier in blocks_of.arch.socket.memory:
        rates = [rate_of(each, tier, blocks_of.arch) for each in (single, load, plain)]
        assert rates == sorted(rates)
        assert rates[0] < rates[2]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"kv_cache": "pagd"}, "--kv-cache: unknown value 'pagd' .did you mean paged"),
        ({"kv_cache": "paged", "kv_block": 0}, "--kv-block: 0 is not a number of tokens"),
        ({"kv_block": 16}, "--kv-block: a cache in one piece has no blocks"),
    ],
)
def test_wrong_cache_options_are_refused(options: dict[str, object], said: str) -> None:
    with pytest.raises(OptionError, match=said):
        Stages(RunRequest(model="llama-3.1-8b", **options))  # type: ignore[arg-type]
