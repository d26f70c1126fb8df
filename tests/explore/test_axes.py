from __future__ import annotations

import json
from pathlib import Path

import pytest

from rdusim.errors import OptionError
from rdusim.explore.axes import Target, at, axis, machine_values, paths, with_value
from rdusim.pipeline import RunRequest, Stages
from tests.graph.tiny_models import LLAMA, write

BASE = RunRequest(model="llama-3.2-1b", context_tokens=64, overrides=("socket.clock=1 GHz",))
BANDWIDTH = "socket.memory.hbm.bandwidth"


def refused(path: str, *texts: str, base: RunRequest = BASE) -> str:
    with pytest.raises(OptionError) as caught:
        axis(base, path, texts)
    return str(caught.value)


def test_a_field_of_the_machine_is_set_as_by_set_and_shown_in_si_units() -> None:
    found = axis(BASE, BANDWIDTH, ["1 TB/s", "2048 GiB/s"])
    assert (found.target, found.rate) == (Target.MACHINE, True)
    assert [value.shown for value in found.values] == [1e12, 2048 * 2**30]
    asked = with_value(BASE, found, found.values[0])
    assert asked.overrides == ("socket.clock=1 GHz", f"{BANDWIDTH}=1 TB/s")
    assert Stages(asked).arch.socket.memory[0].bandwidth == 1e12


def test_a_rate_leaves_the_machine_compiled_for_and_structure_changes_it_too() -> None:
    rate, size = axis(BASE, BANDWIDTH, ["1TB/s"]), axis(BASE, "socket.tile.pmu.capacity", ["1 MiB"])
    asked = at(BASE, [(rate, rate.values[0]), (size, size.values[0])])
    assert asked.compiled_overrides == ("socket.clock=1 GHz", "socket.tile.pmu.capacity=1 MiB")
    stages = Stages(asked)
    assert (stages.arch.socket.memory[0].bandwidth, stages.compiled.socket.memory[0].bandwidth) == (1e12, 1.8e12)
    assert stages.arch.socket.tile.pmu.capacity == stages.compiled.socket.tile.pmu.capacity == 2**20


@pytest.mark.parametrize(
    ("path", "texts", "shown"),
    [
        ("batch", ["1", "8"], [1, 8]),
        ("context-tokens", ["128"], [128]),
        ("kernel_looping", ["true", "no"], [True, False]),
        ("parallel", ["tp=4", "auto"], ["tp=4", "auto"]),
        ("acceptance_rate", ["0.5"], [0.5]),
        ("arch", ["sn40l", "sn50"], ["sn40l", "sn50"]),
        ("fusion", ["unfused"], ["unfused"]),
        ("system.topology", ["ring"], ["ring"]),
        ("socket.tile.pcu.macs_per_cycle.bf16", ["128"], [128]),
    ],
)
def test_options_and_names_are_axes_too(path: str, texts: list[str], shown: list[object]) -> None:
    assert [value.shown for value in axis(BASE, path, texts).values] == shown


def test_an_option_is_put_in_before_a_field_of_the_machine() -> None:
    clock, arch = axis(BASE, "socket.clock", ["2 GHz"]), axis(BASE, "arch", ["sn50"])
    asked = at(BASE, [(clock, clock.values[0]), (arch, arch.values[0])])
    assert (asked.arch, asked.overrides[-1]) == ("sn50", "socket.clock=2 GHz")


def test_a_key_of_the_model_is_changed_in_a_copy_that_is_called_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RDUSIM_CACHE", str(tmp_path / "cache"))
    model = write(tmp_path, LLAMA)
    base = RunRequest(model=str(model), context_tokens=8)
    found = axis(base, "model.num_hidden_layers", ["5", "7"])
    asked = [with_value(base, found, value) for value in found.values]
    assert [json.loads(Path(each.model).read_text())["num_hidden_layers"] for each in asked] == [5, 7]
    assert all(len(Stages(each).graph(Stages(each).shape()).blocks) for each in asked)
    assert "num_hidden_layers=5" in Path(asked[0].model).parent.name
    assert with_value(base, found, found.values[0]) == asked[0]
    assert json.loads(model.read_text() if model.is_file() else (model / "config.json").read_text()) == LLAMA


@pytest.mark.parametrize(
    ("path", "texts", "said"),
    [
        ("socket.memory.hbm.bandwith", ["1 TB/s"], "did you mean socket.memory.hbm.bandwidth"),
        ("hbm.latency", ["1 ns"], "did you mean socket.memory.hbm.latency?"),
        ("contxt_tokens", ["1"], "did you mean context_tokens"),
        ("model.num_hidden_layer", ["1"], "did you mean model.num_hidden_layers"),
        ("overrides", ["1"], "no such field"),
        ("socket.tile", ["1"], "no such field"),
        (BANDWIDTH, ["3 GiB"], "'3 GiB' is a size; a bandwidth is wanted, such as '1.8 TB/s'"),
        (BANDWIDTH, ["3"], "has no unit"),
        (BANDWIDTH, ["-1 TB/s"], "must be greater than zero"),
        ("socket.tile.rows", ["2.5"], "a whole number without unit"),
        ("batch", ["x"], "'x' is not a whole number"),
        ("batch", ["0"], "0 is not a batch size"),
        ("phase", ["decod"], "did you mean decode?"),
        ("kernel_looping", ["maybe"], "true, false"),
        ("parallel", ["tp=0"], "at least 1"),
        ("system.topology", ["rin"], "unknown topology 'rin'"),
        ("model.num_hidden_layers", ["2.5"], "not a whole number"),
        ("model.tie_word_embeddings", ["3"], "not true or false"),
    ],
)
def test_a_wrong_axis_is_refused_with_its_path_and_the_way_out(path: str, texts: list[str], said: str) -> None:
    message = refused(path, *texts)
    assert said in message
    assert message.startswith(path)


def test_every_wrong_value_of_an_axis_is_named_at_once() -> None:
    message = refused(BANDWIDTH, "1 TB/s", "3 GiB", "600 ns")
    assert len(message.splitlines()) == 2


def test_every_path_that_can_be_varied_makes_an_axis_of_its_present_value() -> None:
    values = machine_values(BASE)
    assert values[BANDWIDTH] == "1.8 TB/s"
    assert {"batch", BANDWIDTH, "model.hidden_size"} <= set(paths(BASE))
    for path, text in values.items():
        assert axis(BASE, path, [text]).values[0].text == text
