"""`rdusim run MODEL --check-numbers`: what is executed, what is said, and with which exit code it ends."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from rdusim.cli.run import command
from rdusim.errors import OptionError
from rdusim.graph.load import shipped_file
from rdusim.graph.scale import Scale, scaled_down, sizes
from rdusim.graph.settings import Settings, read_settings
from rdusim.net.types import TransferPlan
from rdusim.pipeline import RunRequest
from rdusim.pipeline.check_numbers import check_numbers, compare
from rdusim.report.numbers import as_json, verdict
from rdusim.sim.functional import section


def run(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(command, [*arguments, "--check-numbers"], standalone_mode=False)
    if result.exception is not None:
        raise result.exception
    return int(result.return_value), result.stdout


def test_a_generation_is_checked_in_prefill_and_in_decode_each_in_two_cuts() -> None:
    report = check_numbers(RunRequest(model="llama-3.1-8b", phase="generate", batch=2, parallel="tp=2"))
    assert report.equal, verdict(report)
    assert [program.phase for program in report.programs] == ["prefill", "prefill", "decode", "decode"]
    assert report.scaled["num_hidden_layers"] == 2
    results = {each.tensor for each in report.programs[0].deviations}
    assert {"head/next_token", "head/logits", "decoder/attention.v.heads"} <= results
    chosen, tiled = report.programs[:2]
    assert tiled.executed["most_tiles"] >= 4
    assert tiled.executed["firings"] > chosen.executed["firings"]
    assert chosen.executed["transfers"] > 0


def test_the_json_is_documented_and_says_what_was_compared() -> None:
    code, text = run("toy-mlp", "--arch", "toy", "--json")
    found = json.loads(text)
    assert code == 0 and found["equal"]
    assert set(found) == {
        "model", "arch", "sockets", "parallelism", "tolerance", "seed", "scaled", "programs", "equal",
    }  # fmt: skip
    (first, _) = found["programs"]
    assert set(first) == {"phase", "cut", "executed", "deviations", "equal"}
    assert set(first["executed"]) == {"sections", "stages", "firings", "tiles", "transfers", "most_tiles"}
    assert set(first["deviations"][0]) == {"tensor", "shape", "absolute", "relative", "equal"}


def test_wrong_numbers_end_with_1_and_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(section, "plan_of", lambda *_: TransferPlan(transfers=()))
    code, text = run("toy-mlp", "--arch", "toy")
    assert code == 1
    assert "DIFFERS" in text and "does not compute the numbers of its graph" in text


def test_a_deadlock_ends_with_1_and_names_who_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(section.Buffer, "has_room", lambda self: False)
    code, text = run("toy-mlp", "--arch", "toy")
    assert code == 1
    assert "waits on tile 0" in text


def test_a_graph_that_is_too_large_is_refused_with_a_way_out() -> None:
    with pytest.raises(OptionError, match=r"too many to execute \(write a graph file with smaller shapes"):
        run("flash-fft-conv")


def test_a_timeline_of_what_is_not_timed_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="--check-numbers times nothing"):
        run("toy-mlp", "--trace", str(tmp_path / "trace.json"))


def test_a_result_that_is_missing_or_no_number_is_not_equal() -> None:
    wanted = {"a": np.ones(3), "b": np.ones(3), "c": np.zeros(2)}
    found: dict[str, Any] = {"b": np.array([1.0, np.nan, 1.0]), "c": np.zeros(2)}
    assert [(each.tensor, each.equal, each.absolute) for each in compare(wanted, found)] == [
        ("a", False, None), ("b", False, None), ("c", True, 0.0),
    ]  # fmt: skip


def test_what_is_zero_but_for_rounding_is_equal_and_what_is_small_is_not() -> None:
    wanted = {"a": np.array([0.5, 1.0]), "zero": np.array([1e-18, -2e-18]), "small": np.array([1e-15, 2e-15])}
    found = {"a": wanted["a"], "zero": np.array([-3e-18, 0.0]), "small": np.array([1e-15, 2.1e-15])}
    assert [(each.tensor, each.equal) for each in compare(wanted, found)] == [
        ("a", True), ("zero", True), ("small", False),
    ]  # fmt: skip
    assert [each.equal for each in compare({"zero": wanted["zero"]}, found)] == [False]  # alone it is no rounding


def test_numbers_that_are_none_have_no_key_in_json() -> None:
    report = check_numbers(RunRequest(model="toy-mlp", arch="toy"))
    assert json.loads(json.dumps(as_json(report)))["programs"][0]["deviations"][0]["relative"] < 1e-12


def scaled(values: dict[str, Any], ways: int = 4, tokens: int = 4096) -> dict[str, Any]:
    return scaled_down(Settings(values), Scale(ways=ways, tokens=tokens, few=12))


def test_what_is_shared_and_what_is_cut_stays_so_in_the_small_model() -> None:
    """Eight key heads over 4 sockets are two each, and serve several query heads each; two are copies."""
    full = {"model_type": "llama", "hidden_size": 4096, "num_attention_heads": 32, "head_dim": 128}
    many, few = scaled({**full, "num_key_value_heads": 8}), scaled({**full, "num_key_value_heads": 2})
    assert (many["num_key_value_heads"], many["num_attention_heads"]) == (8, 16)
    assert few["num_key_value_heads"] == 2
    assert few["num_attention_heads"] // few["num_key_value_heads"] % 2 == 0
    assert many["hidden_size"] == many["num_attention_heads"] * many["head_dim"]


def test_a_vocabulary_that_is_padded_stays_padded_and_a_window_stays_in_proportion() -> None:
    small = scaled({"vocab_size": 50257, "sliding_window": 1024, "num_hidden_layers": 32, "n_head": 112})
    assert small["vocab_size"] % 4 == 50257 % 4
    assert -small["vocab_size"] % 4 / small["vocab_size"] < 0.01
    assert small["sliding_window"] == 3
    assert small["num_hidden_layers"] == 2
    assert small["n_head"] == 12  # an odd factor, as 112 has: slopes of ALiBi are made otherwise for it


def test_layers_of_both_kinds_are_left_where_the_model_has_both() -> None:
    both = scaled({"num_hidden_layers": 28, "max_window_layers": 20})
    assert (both["num_hidden_layers"], both["max_window_layers"]) == (4, 2)
    one = scaled({"num_hidden_layers": 28, "max_window_layers": 28})
    assert (one["num_hidden_layers"], one["max_window_layers"]) == (2, 2)


def test_nested_configs_are_made_small_each_by_itself() -> None:
    settings = read_settings(shipped_file("llava-1.5-7b"))
    small = scaled_down(settings, Scale(ways=8, tokens=4096, few=12))
    text, vision = small["text_config"], small["vision_config"]
    assert (text["num_attention_heads"], text["hidden_size"], text["num_hidden_layers"]) == (16, 128, 2)
    assert text["rms_norm_eps"] == 1e-5
    assert (vision["image_size"] // vision["patch_size"]) ** 2 + 1 < 12  # an image and some text in a few tokens
    assert (vision["num_hidden_layers"], small["vision_feature_layer"]) == (3, -2)  # two that are seen, one that is not
    changed = sizes(small, settings)
    assert changed["vision_config.image_size"] == 4
    assert "text_config.rms_norm_eps" not in changed


@pytest.mark.parametrize(("index", "layers", "small"), [(-1, 2, -1), (-3, 3, -2), (22, 3, 2)])
def test_a_small_tower_has_a_layer_that_is_not_seen_where_the_model_has(index: int, layers: int, small: int) -> None:
    values = dict(read_settings(shipped_file("llava-1.5-7b")).values) | {"vision_feature_layer": index}
    made = scaled(values)
    assert (made["vision_config"]["num_hidden_layers"], made["vision_feature_layer"]) == (layers, small)


def test_a_vision_tower_and_its_language_model_compute_their_numbers() -> None:
    report = check_numbers(RunRequest(model="llava-1.5-7b", phase="generate", batch=2, parallel="tp=2"))
    assert report.equal, verdict(report)
    assert report.scaled["vision_config.image_size"] == 4


@pytest.mark.parametrize("model", ["vit-base", "bert-base"])
def test_an_encoder_computes_its_numbers(model: str) -> None:
    report = check_numbers(RunRequest(model=model, batch=2, parallel="tp=2"))
    assert report.equal, verdict(report)
    assert [program.phase for program in report.programs] == ["forward", "forward"]


def test_flags_and_other_keys_are_left_alone() -> None:
    settings = read_settings(shipped_file("falcon-40b"))
    small = scaled_down(settings, Scale(ways=8, tokens=2048, few=12))
    assert small.keys() == settings.values.keys()
    for key, value in settings.values.items():
        if isinstance(value, bool | str | float) or value is None:
            assert small[key] == value
