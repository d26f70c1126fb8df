"""A program compiled for one machine and run on another of the same structure."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from rdusim.errors import OptionError
from rdusim.pipeline import Cache, RunRequest, Stages, answer
from tests.graph.tiny_models import LLAMA, MIXTRAL, write

LARGER = {"hidden_size": 256, "intermediate_size": 1024, "vocab_size": 64}
SLOWER = (
    "socket.memory.hbm.bandwidth=0.22 TB/s",
    "socket.memory.hbm.latency=900 ns",
    "socket.clock=1 GHz",
    "system.link.latency=3 us",
    "system.link.bandwidth=20 GB/s",
    "socket.tile.rdn.hop_cycles=3 cycles",
    "launch.execute=2 us",
)
SMALL = (
    "socket.memory.hbm.capacity=1200 KiB",
    "socket.memory.hbm.channels=1",
    "socket.memory.hbm.bandwidth=300 GB/s",
    "socket.memory.ddr.bandwidth=2 GB/s",
)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write(tmp_path_factory.mktemp("model"), LLAMA | LARGER))


@pytest.fixture(scope="module")
def mixture(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write(tmp_path_factory.mktemp("mixture"), MIXTRAL | LARGER))


@pytest.fixture(scope="module")
def draft(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write(tmp_path_factory.mktemp("draft"), LLAMA | {"num_hidden_layers": 1, "vocab_size": 64}))


# By the way that a report comes about: each takes the machine in other places.
ASKED = {
    "decode": {"sockets": 2, "context_tokens": 32},
    "unfused": {"sockets": 2, "context_tokens": 32, "fusion": "unfused"},
    "generate": {"sockets": 2, "phase": "generate", "input_tokens": 16, "output_tokens": 3, "kernel_looping": True},
    "pipeline": {"sockets": 2, "phase": "prefill", "input_tokens": 16, "parallel": "tp=1,pp=2", "batch": 2},
    "training": {"sockets": 2, "phase": "train", "input_tokens": 16, "parallel": "tp=1,pp=2", "batch": 2},
    "spill": {"sockets": 1, "context_tokens": 32, "overrides": SMALL},
    "discrete": {"sockets": 2, "context_tokens": 32, "engine": "discrete"},
    "auto": {"sockets": 2, "context_tokens": 32, "parallel": "auto"},
    "speculative": {"sockets": 2, "context_tokens": 32, "draft": "?", "draft_length": 2, "acceptance_rate": 0.5},
}


def request_of(name: str, model: str, draft: str) -> RunRequest:
    options = ASKED[name] | ({"draft": draft} if "draft" in ASKED[name] else {})
    return RunRequest(model=model, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ASKED)
def test_compiled_for_its_own_machine_a_run_is_a_plain_run_to_the_last_bit(name: str, model: str, draft: str) -> None:
    plain = request_of(name, model, draft)
    same = replace(plain, compiled_overrides=(*plain.overrides, "system.link.latency=1 us"))  # as it is already
    assert answer(plain) == answer(same)


@pytest.mark.parametrize("name", ASKED)
def test_what_runs_on_another_machine_is_the_same_program_at_other_seconds(name: str, model: str, draft: str) -> None:
    plain = request_of(name, model, draft)
    cache = Cache()
    before = answer(plain, cache=cache)
    moved = replace(plain, overrides=(*plain.overrides, *SLOWER), compiled_overrides=plain.overrides)
    heard: list[str] = []
    after = answer(moved, cache=cache, observe=heard.append)
    assert not [said for said in heard if said.startswith(("lowering", "mapping"))]
    assert after.latency.total_seconds > before.latency.total_seconds
    assert sum(after.breakdown_seconds.values()) == pytest.approx(after.latency.total_seconds)
    assert after.kernel_launches == before.kernel_launches
    assert [use.read_bytes for use in after.memory] == pytest.approx([use.read_bytes for use in before.memory])
    assert [(use.name, use.stages, use.pcus) for use in after.sections] == [
        (use.name, use.stages, use.pcus) for use in before.sections
    ]


def test_a_mapping_says_the_claim_that_it_has_on_the_machine_that_runs_it(mixture: str) -> None:
    from rdusim.mapping.check import check

    asked = RunRequest(model=mixture, sockets=2, context_tokens=32, overrides=SLOWER, compiled_overrides=())
    stages = Stages(asked)
    mapping = stages.mapping(stages.shape())
    assert check(mapping, stages.arch) == []
    assert check(mapping, stages.compiled) != []
    assert Stages(replace(asked, compiled_overrides=None)).compiled is not stages.compiled


def test_a_machine_with_other_links_between_sockets_has_its_collectives_planned_anew(model: str) -> None:
    """What is 30 times slower from socket to socket takes longer in its collectives by more than half of that."""
    asked = RunRequest(model=model, sockets=2, parallel="tp=2", context_tokens=32)
    slow = replace(asked, overrides=("system.link.latency=30 us",), compiled_overrides=())
    before, after = (answer(each).breakdown_seconds["collective"] for each in (asked, slow))
    assert after > 15 * before


def test_a_program_is_not_run_on_a_machine_of_another_structure(model: str) -> None:
    asked = RunRequest(model=model, overrides=("socket.tile.pmu.capacity=1 MiB",), compiled_overrides=())
    with pytest.raises(OptionError, match=r"another structure: socket\.tile\.pmu\.capacity"):
        Stages(asked)


def test_the_draft_is_compiled_for_the_same_machine(model: str, draft: str) -> None:
    asked = replace(request_of("speculative", model, draft), overrides=SLOWER, compiled_overrides=())
    stages = Stages(asked)
    plain = Stages(request_of("speculative", model, draft))
    assert stages.compiled == plain.arch
    assert stages.draft.compiled == plain.draft.arch
    assert stages.arch.socket.memory[0].capacity == stages.compiled.socket.memory[0].capacity


def test_the_file_of_a_model_is_no_different_for_it(tmp_path: Path, model: str) -> None:
    with pytest.raises(OptionError, match="--batch"):
        Stages(RunRequest(model=model, batch=0, compiled_overrides=()))
