from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from rdusim.errors import OptionError
from rdusim.explore.identity import Identity
from rdusim.explore.store import Outcome, Store, open_default
from rdusim.pipeline import RunRequest
from tests.graph.tiny_models import LLAMA, write

GOOD = Outcome(metrics={"latency.total_seconds": 0.1 + 0.2, "batch": 3, "bound": "hbm", "on": True})
BAD = Outcome(metrics=None, error="it does not fit")


def test_what_is_put_in_comes_out_with_the_same_bits_and_types(tmp_path: Path) -> None:
    store = Store(tmp_path / "s.sqlite")
    store.put([("a", GOOD), ("b", BAD)])
    store.close()
    found = Store(tmp_path / "s.sqlite").get(["a", "b", "c"])
    assert found == {"a": GOOD, "b": BAD}
    assert [type(value) for value in (found["a"].metrics or {}).values()] == [float, int, str, bool]


def test_many_keys_are_found_in_several_questions() -> None:
    store = Store(None)
    keys = [f"k{number}" for number in range(1234)]
    store.put([(key, replace(GOOD, metrics={"number": number})) for number, key in enumerate(keys)])
    assert [outcome.metrics for outcome in (store.get(keys)[key] for key in keys)] == [
        {"number": number} for number in range(1234)
    ]


def test_a_mistake_of_ours_is_not_kept() -> None:
    store = Store(None)
    store.put([("a", Outcome(metrics=None, error="a bug", lasting=False))])
    assert store.get(["a"]) == {}


def test_two_sweeps_may_have_one_file(tmp_path: Path) -> None:
    one, other = Store(tmp_path / "s.sqlite"), Store(tmp_path / "s.sqlite")
    one.put([("a", GOOD)])
    other.put([("b", BAD)])
    assert one.get(["a", "b"]) == other.get(["a", "b"]) == {"a": GOOD, "b": BAD}


def test_another_kind_of_file_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("precious")
    with pytest.raises(OptionError, match="another kind of file"):
        Store(path)
    assert path.read_text() == "precious"


def test_a_row_that_makes_no_sense_is_computed_again(tmp_path: Path) -> None:
    import sqlite3

    Store(tmp_path / "s.sqlite").put([("a", GOOD), ("b", GOOD)])
    with sqlite3.connect(tmp_path / "s.sqlite") as file:
        file.execute("UPDATE outcome SET value = 'x' WHERE key = 'a'")
    assert Store(tmp_path / "s.sqlite").get(["a", "b"]) == {"b": GOOD}


def test_without_a_folder_for_caches_results_live_as_long_as_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RDUSIM_CACHE", "")
    assert open_default().path is None


def test_keys_are_of_what_files_say_not_of_where_they_lie(tmp_path: Path) -> None:
    folders = [tmp_path / name / "tiny" for name in ("one", "two", "three")]
    for folder in folders:
        folder.mkdir(parents=True)
    configs = [
        write(folder, LLAMA | {"num_hidden_layers": layers}) for folder, layers in zip(folders, (2, 2, 3), strict=True)
    ]
    keys = [Identity().key(RunRequest(model=str(config)), remap=False) for config in configs]
    assert keys[0] == keys[1] != keys[2]


def test_a_machine_is_known_by_what_it_extends_too(tmp_path: Path) -> None:
    base, mine = tmp_path / "base.yaml", tmp_path / "mine.yaml"
    shipped = Path(__file__).parents[2] / "arch" / "toy.yaml"
    mine.write_text("schema: rdusim-arch/1\nname: mine\nextends: base\n")
    keys = []
    for text in (shipped.read_text(), shipped.read_text().replace("100 GB/s", "90 GB/s")):
        base.write_text(text)
        keys.append(Identity().key(RunRequest(model="toy-mlp", arch=str(mine)), remap=False))
    assert keys[0] != keys[1]


@pytest.mark.parametrize(
    "change",
    [
        {"batch": 2},
        {"engine": "discrete"},
        {"overrides": ("socket.clock=1 GHz",)},
        {"compiled_overrides": ("socket.clock=1 GHz",)},
        {"arch": "sn50"},
        {"fusion": "unfused"},
    ],
)
def test_every_option_makes_another_key(change: dict[str, object]) -> None:
    base = RunRequest(model="llama-3.2-1b")
    assert Identity().key(replace(base, **change), remap=False) != Identity().key(base, remap=False)  # type: ignore[arg-type]


def test_compiled_for_itself_or_remapped_it_is_the_same_point() -> None:
    plain = RunRequest(model="llama-3.2-1b", overrides=("socket.clock=1 GHz",))
    base, own = replace(plain, compiled_overrides=()), replace(plain, compiled_overrides=plain.overrides)
    key = Identity().key(plain, remap=False)
    assert key == Identity().key(base, remap=True) == Identity().key(own, remap=False)
    assert key != Identity().key(base, remap=False)
