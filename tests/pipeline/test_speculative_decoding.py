"""A round of speculative decoding from the runs of its two models, and static shapes: computed, not counted."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from rdusim.errors import GraphError, OptionError
from rdusim.pipeline import Cache, RunRequest, Stages, run
from rdusim.pipeline.model_flops import asked_flops
from rdusim.program.lower import model_flops
from rdusim.report.speculative import tokens_per_round
from tests.graph.tiny_models import LLAMA, TINY, write

LENGTH, RATE = 3, 0.7
PLAIN = {"draft": None, "draft_length": None, "acceptance_rate": None}


@pytest.fixture(scope="module")
def cache() -> Cache:
    return Cache()


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> RunRequest:
    target = write(tmp_path_factory.mktemp("target"), LLAMA | {"hidden_size": 512, "intermediate_size": 2048})
    draft = write(tmp_path_factory.mktemp("draft"), LLAMA | {"num_hidden_layers": 1})
    return RunRequest(
        model=str(target), draft=str(draft), draft_length=LENGTH, acceptance_rate=RATE, sockets=2, batch=2,
        context_tokens=64,
    )  # fmt: skip


def test_a_token_takes_its_part_of_the_drafts_and_the_check(asked: RunRequest, cache: Cache) -> None:
    """(g x draft + verify) / E; the target reads g + 1 tokens at once."""
    stages = Stages(asked, cache=cache)
    context = asked.context_tokens or 0
    draft = stages.draft.report_of(stages.draft.plan.decode(context + LENGTH // 2))
    check = replace(stages.plan.decode(context), query_tokens=LENGTH + 1, context_tokens=context + LENGTH)
    verify = stages.report_of(check)
    report = run(asked, cache=cache)
    made = tokens_per_round(RATE, LENGTH)
    total = report.latency.total_seconds
    assert total == pytest.approx((LENGTH * draft.latency.total_seconds + verify.latency.total_seconds) / made)
    assert report.latency.time_per_output_token_seconds == total
    assert report.throughput.tokens_per_second == pytest.approx(2 / total)
    assert sum(report.breakdown_seconds.values()) == pytest.approx(total)
    assert sum(section.seconds for section in report.sections) == pytest.approx(total)
    flops = LENGTH * draft.operational_intensity.flops + verify.operational_intensity.flops
    assert report.operational_intensity.flops == pytest.approx(flops / made)
    assert (report.setting.draft_length, report.setting.acceptance_rate) == (LENGTH, RATE)
    plain = run(replace(asked, **PLAIN), cache=cache).operational_intensity.flops
    assert report.throughput.flops_per_second == pytest.approx(plain / total)  # neither the draft's nor the rejected


def test_both_models_lie_in_memory_and_the_draft_takes_from_the_other(asked: RunRequest, cache: Cache) -> None:
    stages, alone = (
        Stages(asked, cache=cache),
        Stages(replace(asked, draft=None, draft_length=None, acceptance_rate=None)),
    )
    held = stages.draft.mapping(stages.draft.plan.decode(64 + LENGTH)).peak_bytes["hbm"]
    assert held > 0
    assert stages.arch.socket.memory[0].capacity == alone.arch.socket.memory[0].capacity - held
    report, without = run(asked, cache=cache), alone.report()
    names = [tier.tier for tier in report.memory]
    hbm = names.index("hbm")
    assert report.memory[hbm].capacity_bytes == without.memory[hbm].capacity_bytes
    assert report.memory[hbm].peak_bytes > without.memory[hbm].peak_bytes + held


def test_a_draft_that_leaves_no_room_makes_the_target_spill(asked: RunRequest, cache: Cache) -> None:
    """The same machine holds the target alone, and not both."""
    alone = Stages(replace(asked, draft=None, draft_length=None, acceptance_rate=None), cache=cache)
    capacity = int(alone.mapping(alone.shape()).peak_bytes["hbm"] * 1.001)
    small = (f"socket.memory.hbm.capacity={capacity}B",)
    assert run(replace(alone.request, overrides=small)).spill is None
    assert run(replace(asked, overrides=small)).spill is not None


def test_better_guesses_take_less_time_and_drafts_of_no_use_cost(asked: RunRequest, cache: Cache) -> None:
    times = [run(replace(asked, acceptance_rate=rate), cache=cache).latency.total_seconds for rate in (0.0, 0.5, 1.0)]
    assert times == sorted(times, reverse=True)
    assert times[0] == pytest.approx((LENGTH + 1) * times[2])


def test_a_generation_drafts_every_token_and_both_models_read_the_prompt(asked: RunRequest, cache: Cache) -> None:
    generate = replace(asked, phase="generate", context_tokens=None, input_tokens=32, output_tokens=2)
    stages, report = Stages(generate, cache=cache), run(generate, cache=cache)
    assert stages.draft.plan.prompt == 32
    first = [each.report_of(each.plan.prefill()).latency.total_seconds for each in (stages, stages.draft)]
    assert report.latency.time_to_first_token_seconds == pytest.approx(sum(first))
    step = run(replace(asked, context_tokens=33), cache=cache).latency.total_seconds
    assert report.latency.total_seconds == pytest.approx(sum(first) + step)
    counted = report.throughput.flops_per_second * report.latency.total_seconds
    assert counted == pytest.approx(asked_flops(stages))
    assert sum(report.breakdown_seconds.values()) == pytest.approx(report.latency.total_seconds)


def test_a_draft_keeps_the_lengths_of_its_target_whatever_its_own_reach(asked: RunRequest, tmp_path: Path) -> None:
    """The draft has learned 16 positions: asked for more it is refused, never shortened in silence."""
    short = str(write(tmp_path, TINY["gpt2"]))
    generate = replace(asked, draft=short, phase="generate", context_tokens=None, input_tokens=12, output_tokens=8)
    with pytest.raises(GraphError, match="learned 16 positions"):
        run(generate)


def test_a_draft_of_fixed_shapes_is_refused_with_all_else_that_is_wrong(asked: RunRequest) -> None:
    with pytest.raises(OptionError) as error:
        Stages(replace(asked, draft="toy-mlp", batch=0))
    said = [str(problem) for problem in error.value.problems]
    assert len(said) == 2
    assert said[0].startswith("--draft: toy-mlp has shapes of its own")


def test_a_draft_of_another_vocabulary_is_refused_in_one_message(asked: RunRequest, tmp_path: Path) -> None:
    other = str(write(tmp_path, LLAMA | {"vocab_size": 1031}))
    with pytest.raises(OptionError) as error:
        Stages(replace(asked, draft=other))
    (problem,) = error.value.problems
    assert str(problem).startswith("--draft: ")
    assert "a vocabulary of 1,031" in str(problem) and "of 29" in str(problem)


# Static shapes


@pytest.mark.parametrize(
    "phase", [{"context_tokens": 20}, {"phase": "prefill", "input_tokens": 20, "context_tokens": None}]
)
def test_padding_is_computed_and_not_counted(asked: RunRequest, cache: Cache, phase: dict[str, object]) -> None:
    asked = replace(asked, **PLAIN, batch=3, **phase)
    full = {name: 64 for name, value in phase.items() if isinstance(value, int)}
    padded = run(replace(asked, compiled_tokens=64, compiled_batch=4), cache=cache)
    real = run(replace(asked, batch=4, **full), cache=cache)
    total = padded.latency.total_seconds
    assert total == real.latency.total_seconds
    assert padded.operational_intensity == real.operational_intensity
    assert padded.setting.batch == 3
    assert padded.throughput.tokens_per_second == pytest.approx(3 * (asked.input_tokens or 1) / total)
    assert padded.throughput.tokens_per_second_per_user == pytest.approx((asked.input_tokens or 1) / total)
    needed = run(asked, cache=cache).operational_intensity.flops
    assert padded.throughput.flops_per_second == pytest.approx(needed / total)
    assert needed < 0.8 * real.operational_intensity.flops
    assert "the padding is computed, not counted" in padded.notes[-1]
    assert "20 runs as 64" in padded.notes[-1] and "3 runs as 4" in padded.notes[-1]


def test_a_run_of_the_compiled_shape_is_not_padded(asked: RunRequest, cache: Cache) -> None:
    asked = replace(asked, **PLAIN)
    padded = run(replace(asked, compiled_tokens=64, compiled_batch=2), cache=cache)
    real = run(asked, cache=cache)
    assert padded.notes == real.notes
    assert padded.throughput == real.throughput


@pytest.mark.parametrize("model", [LLAMA, TINY["gpt-oss"]])  # the latter has sliding windows and experts
def test_a_padded_generation_counts_the_prompt_and_the_contexts_that_there_are(
    tmp_path: Path, model: dict[str, object]
) -> None:
    asked = RunRequest(
        model=str(write(tmp_path, model)), sockets=2, batch=2, phase="generate", input_tokens=5, output_tokens=4
    )
    stages = Stages(asked)
    shapes = [stages.plan.prefill(), *map(stages.plan.decode, (6, 7, 8))]
    needed = sum(model_flops(stages.whole(shape)) for shape in shapes)
    assert asked_flops(Stages(replace(asked, compiled_tokens=32, compiled_batch=3))) == pytest.approx(needed, rel=5e-3)


def test_a_padded_training_step_counts_what_it_learns_from(asked: RunRequest, cache: Cache) -> None:
    asked = replace(asked, **PLAIN, phase="train", context_tokens=None, input_tokens=8, batch=2)
    stages, compiled = Stages(asked, cache=cache), replace(asked, compiled_tokens=16, compiled_batch=4)
    needed = model_flops(stages.whole(stages.shape()))
    assert asked_flops(Stages(compiled, cache=cache)) == pytest.approx(needed)
    assert asked_flops(Stages(replace(compiled, micro_batches=2), cache=cache)) == pytest.approx(needed)


def test_every_step_of_a_compiled_generation_is_the_same(asked: RunRequest, cache: Cache) -> None:
    heard: list[str] = []
    asked = replace(asked, **PLAIN, phase="generate", context_tokens=None, input_tokens=8, output_tokens=9)
    report = run(replace(asked, compiled_tokens=32), observe=heard.append)
    assert sum(said.startswith("lowering") for said in heard) == 2  # prefill and one step
    assert report.throughput.tokens_per_second == pytest.approx(2 * 9 / report.latency.total_seconds)
    needed = asked_flops(Stages(asked))
    assert report.throughput.flops_per_second == pytest.approx(needed / report.latency.total_seconds)
    assert needed < report.operational_intensity.flops
