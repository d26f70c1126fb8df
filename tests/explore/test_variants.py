"""Short texts mean one change each, or are refused with what to write instead."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from rdusim.errors import RdusimError
from rdusim.explore.variants import asked, variant
from rdusim.pipeline.request import RunRequest

RUN = RunRequest(model="llama-3.1-8b")


@pytest.mark.parametrize(
    ("text", "changes"),
    [
        ("sn50", {"arch": "sn50"}),
        ("gpu/h100", {"arch": "gpu/h100"}),
        ("h100", {"arch": "gpu/h100"}),
        ("arch=sn50", {"arch": "sn50"}),
        ("unfused", {"fusion": "unfused"}),
        ("host", {"orchestration": "host"}),
        ("kernel-looping", {"kernel_looping": True}),
        ("--kernel-looping", {"kernel_looping": True}),
        ("discrete", {"engine": "discrete"}),
        ("paged", {"kv_cache": "paged"}),
        ("prefill", {"phase": "prefill"}),
        ("auto", {"parallel": "auto"}),
        ("batch=16", {"batch": 16}),
        ("context-tokens=8192", {"context_tokens": 8192}),
        ("context_tokens=8192", {"context_tokens": 8192}),
        ("parallel=tp=4,pp=2", {"parallel": "tp=4,pp=2"}),
        ("tp=4 pp=2", {"parallel": "tp=4,pp=2"}),
        ("llama-3.1-70b", {"model": "llama-3.1-70b"}),
        ("model=llama-3.1-70b", {"model": "llama-3.1-70b"}),
        ("cut-after=decoder/mlp.mul", {"cut_after": ("decoder/mlp.mul",)}),
        ("socket.clock=1.5GHz", {"overrides": ("socket.clock=1.5GHz",)}),
        (
            "batch=16, sn50 parallel=tp=4,pp=2 socket.clock=1.5GHz",
            {"batch": 16, "arch": "sn50", "parallel": "tp=4,pp=2", "overrides": ("socket.clock=1.5GHz",)},
        ),
    ],
)
def test_a_text_is_these_changes(text: str, changes: dict[str, object]) -> None:
    assert variant(RUN, text) == replace(RUN, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "nothing to change"),
        (" , ", "nothing to change"),
        ("unfsed", "did you mean unfused"),
        ("gpu/h10", "did you mean gpu/h100"),
        ("lama-3.1-8b", "did you mean llama-3.1-8b"),
        ("xyzzy", "such as gpu/h100"),
        ("none.yaml", "there is no such file"),
        ("socket.clock=1.5 GHz", "as one word"),
        ("batch=", "no value"),
        ("batch=x", "not a whole number"),
        ("bach=3", "did you mean batch"),
        ("bandwidth=3TB/s", "no option 'bandwidth'"),
        ("batch=2 batch=3", "given twice"),
        ("unfused fused", "given twice"),
        ("fusion=unfsed", "did you mean unfused"),
    ],
)
def test_a_text_that_means_nothing_is_refused(text: str, message: str) -> None:
    with pytest.raises(RdusimError, match=message):
        variant(RUN, text)


def test_a_word_with_several_meanings_is_refused_with_what_to_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sn50").mkdir()
    (tmp_path / "sn50" / "config.json").write_text("{}", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RdusimError, match="say which: arch=sn50 or model=sn50"):
        variant(RUN, "sn50")


def test_a_yaml_file_is_a_machine_or_a_model_by_its_schema(tmp_path: Path) -> None:
    kinds = {"rdusim-arch/1": "arch", "rdusim-gpu/1": "arch", "rdusim-graph/1": "model"}
    for number, (schema, option) in enumerate(kinds.items()):
        file = tmp_path / f"{number}.yaml"
        file.write_text(f"schema: {schema}\nname: mine\n", encoding="utf-8")
        assert variant(RUN, str(file)) == replace(RUN, **{option: str(file)})


def test_settings_of_the_first_machine_stay_for_another_rdu_and_not_for_a_gpu() -> None:
    first = replace(RUN, overrides=("socket.clock=1GHz",))
    assert variant(first, "sn50 socket.dies=1").overrides == ("socket.clock=1GHz", "socket.dies=1")
    assert variant(first, "gpu/h100 gpu.sms=100").overrides == ("gpu.sms=100",)


def test_every_wrong_text_is_told_and_two_equal_ones_too() -> None:
    with pytest.raises(RdusimError) as caught:
        asked(RUN, ["unfsed", "batch=2", "batch=2", "xyzzy=1"])
    assert [str(problem).split(": ")[0] for problem in caught.value.problems] == [
        "--with unfsed",
        "--with batch=2",
        "--with xyzzy=1",
    ]
    with pytest.raises(RdusimError, match="nothing to compare with"):
        asked(RUN, [])


def test_the_first_run_is_called_by_its_machine() -> None:
    first, (other,) = asked(replace(RUN, arch="my/own.yaml"), ["batch=2,unfused"])
    assert (first.name, first.request, other.name) == ("own", replace(RUN, arch="my/own.yaml"), "batch=2 unfused")
