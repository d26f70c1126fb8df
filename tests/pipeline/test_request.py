from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rdusim.graph.optimizer import TrainOptions
from rdusim.mapping.types import Orchestration
from rdusim.pipeline import RunRequest
from rdusim.pipeline.request import Plan, option_problems, parse_parallel, resolve, socket_problems
from rdusim.program.types import Parallelism


def plan(*, positions: int | None = None, phases: bool = True, **options: object) -> Plan:
    return resolve(RunRequest(model="m", **options), phases=phases, positions=positions)  # type: ignore[arg-type]


def problems(*, phases: bool = True, **options: object) -> list[str]:
    request = RunRequest(model="m", **options)  # type: ignore[arg-type]
    return [str(problem) for problem in option_problems(request, phases=phases, engines=("steady",))]


def test_a_bare_request_is_one_bf16_decode_step_at_4096_tokens() -> None:
    bare = plan()
    assert (bare.phase, bare.batch, bare.dtype, bare.context, bare.prompt) == ("decode", 1, "bf16", 4096, None)
    assert bare.orchestration is Orchestration.HARDWARE


def test_context_defaults_to_the_input_and_yields_to_its_own_option() -> None:
    assert plan(input_tokens=300).context == 300
    assert plan(input_tokens=300, context_tokens=77).context == 77


@pytest.mark.parametrize("phase", ["prefill", "decode", "generate"])
def test_default_lengths_stay_within_the_positions_of_the_model(phase: str) -> None:
    for positions in (1, 2, 100, 1024, 131072):
        small = plan(phase=phase, positions=positions)
        lengths = (small.prompt or 0) + (small.output or 0), small.context or 0
        assert max(lengths) <= max(positions, 2)
        assert small.prompt is None or small.prompt >= 1


def test_generate_reads_one_context_for_each_token_but_the_first() -> None:
    steps = plan(phase="generate", input_tokens=10, output_tokens=4).steps()
    assert list(steps) == [11, 12, 13]
    assert not plan(phase="generate", output_tokens=1).steps()


def test_unfused_kernels_are_started_by_the_host_unless_said_otherwise() -> None:
    assert plan(fusion="unfused").orchestration is Orchestration.HOST
    assert plan(fusion="unfused", orchestration="hardware").orchestration is Orchestration.HARDWARE


def test_a_graph_with_shapes_of_its_own_has_one_phase_and_refuses_others() -> None:
    assert plan(phases=False).phase == "forward"
    assert len(problems(phases=False, phase="decode", batch=2, dtype="fp8")) == 3


def test_every_wrong_option_is_named_at_once() -> None:
    found = problems(
        batch=0, input_tokens=-1, phase="trian", dtype="fp9", fusion="fusde", engine="cycle", parallel="tp=0"
    )
    flags = ["--batch", "--input-tokens", "--phase", "--dtype", "--fusion", "--engine", "--parallel"]
    assert [problem.split(":")[0] for problem in found] == flags


def test_a_training_step_takes_4096_tokens_or_what_positions_allow_and_mixed_precision() -> None:
    found = plan(phase="train", batch=2)
    assert (found.prompt, found.context, found.training) == (4096, None, TrainOptions())
    assert plan(phase="train", positions=1024).prompt == 1024
    assert plan(phase="train", optimizer="sgd", recompute="full").training == TrainOptions(
        optimizer="sgd", recompute="full"
    )
    assert plan(phase="prefill").training is None


def test_what_training_does_not_go_with_is_refused() -> None:
    for options in ({"dtype": "int8"}, {"context_tokens": 9}, {"output_tokens": 9}):
        (problem,) = problems(phase="train", **options)
        assert problem.startswith("--" + next(iter(options)).replace("_", "-"))
    assert len(problems(optimizer="sgd", recompute="full", precision="uniform")) == 3


@pytest.mark.parametrize("text", ["", "tp", "tp=", "tp=x", "tp=0", "tp=-1", "tp=2,tp=4", "zp=2", "tp=2,", "tp=٢"])
def test_text_that_is_no_parallelism_is_refused(text: str) -> None:
    ways, wrong = parse_parallel(text)
    assert ways is None
    assert wrong


def test_parallelism_is_read_with_spaces_and_ones() -> None:
    assert parse_parallel(" tp = 8, pp=1") == (Parallelism(tp=8), [])
    assert parse_parallel("dp=2,ep=3,sp=5,pp=7") == (Parallelism(dp=2, ep=3, sp=5, pp=7), [])
    assert parse_parallel(" auto ") == (None, [])


@pytest.mark.parametrize(("parallel", "sockets", "good"), [("tp=8", 8, True), ("tp=4", 8, True), ("tp=3", 8, False)])
def test_tensor_parallelism_divides_the_sockets(parallel: str, sockets: int, good: bool) -> None:
    assert bool(socket_problems(RunRequest(model="m", parallel=parallel), sockets)) is not good


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"parallel": "sp=2"}, "a step of decode has one"),
        ({"parallel": "sp=2", "phase": "generate"}, "a step of decode has one"),
        ({"parallel": "dp=4", "batch": 6}, "do not divide batch 6"),
        ({"parallel": "pp=2,dp=2", "batch": 4, "micro_batches": 4}, "dp=2 x 4 micro-batches do not divide batch 4"),
        ({"parallel": "tp=2", "pipeline_chunks": 1}, "there is no pipeline"),
        ({"micro_batches": 2}, "there is no pipeline"),
        ({"pipeline_chunks": 2, "pipeline_schedule": "gpipe"}, "--pipeline-schedule and --pipeline-chunks: there is"),
        ({"draft": "d", "acceptance_rate": 0.5, "phase": "train"}, "train has nothing to draft"),
        ({"parallel": "pp=2", "pipeline_chunks": 2}, "only an interleaved schedule"),
        ({"parallel": "pp=2", "pipeline_schedule": "gpip"}, "did you mean gpipe?"),
        ({"parallel": "pp=2", "pipeline_schedule": "interleaved", "batch": 3}, "which batch 3 has not"),
        ({"compiled_tokens": 8, "context_tokens": 9}, "at least 9"),
        ({"compiled_tokens": 8, "phase": "generate", "input_tokens": 5, "output_tokens": 4}, "at least 9"),
        ({"compiled_batch": 2, "batch": 3}, "at least 3"),
        ({"draft_length": 2}, "there is no draft model"),
        ({"acceptance_rate": 0.5}, "there is no draft model"),
        ({"draft": "d"}, "how often are drafted tokens accepted?"),
        ({"draft": "d", "acceptance_rate": -0.1}, "is no probability"),
        ({"draft": "d", "acceptance_rate": float("nan")}, "is no probability"),
        ({"draft": "d", "acceptance_rate": 0.5, "draft_length": 0}, "at least 1"),
        ({"draft": "d", "acceptance_rate": 0.5, "phase": "prefill"}, "prefill has nothing to draft"),
    ],
)
def test_what_a_plan_cannot_do_is_one_problem_with_its_option(options: dict[str, object], said: str) -> None:
    (problem,) = problems(**options)
    assert problem.startswith("--")
    assert said in problem


def test_defaults_stay_within_what_is_compiled() -> None:
    assert plan(compiled_tokens=128).context == 128
    short = plan(compiled_tokens=128, phase="generate")
    assert (short.prompt or 0) + (short.output or 0) <= 128


@given(
    batch=st.integers(1, 24),
    axes=st.tuples(*[st.integers(1, 4)] * 3),
    schedule=st.sampled_from(["gpipe", "1f1b", "interleaved"]),
    phase=st.sampled_from(["decode", "prefill", "train"]),
)
def test_micro_batches_and_replicas_lose_no_sequence(
    batch: int, axes: tuple[int, int, int], schedule: str, phase: str
) -> None:
    pp, dp, ep = axes
    options = {"batch": batch, "parallel": f"pp={pp},dp={dp},ep={ep}", "phase": phase}
    options |= {"pipeline_schedule": schedule} if pp > 1 else {}
    if problems(**options):
        return
    found = plan(**options)
    replicas = 1 if phase == "train" else dp
    assert found.replica_batch * replicas * found.micro_batches == batch
    assert schedule != "interleaved" or found.micro_batches % pp == 0
