"""Keys of points: one for one meaning, another for other code."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from rdusim.explore import identity
from rdusim.explore.identity import Identity, point_digest
from rdusim.pipeline import RunRequest

BASE = RunRequest(model="toy-mlp", arch="toy")
BANDWIDTH = "socket.memory.hbm.bandwidth"


def key(*overrides: str) -> str:
    return Identity().key(replace(BASE, overrides=overrides), remap=False)


@pytest.mark.parametrize("text", ["10 GB/s", "10000MB/s", "10.0 GB/s", "80 Gb/s"])
def test_one_value_has_one_key_in_every_spelling(text: str) -> None:
    assert key(f"{BANDWIDTH}={text}") == key(f"{BANDWIDTH}=10GB/s")


@pytest.mark.parametrize("setting", [f"{BANDWIDTH}=11 GB/s", "socket.memory.ddr.bandwidth=10 GB/s", f"{BANDWIDTH}=x"])
def test_another_value_or_field_has_another_key(setting: str) -> None:
    assert key(setting) != key(f"{BANDWIDTH}=10 GB/s")


def test_names_are_told_apart() -> None:
    assert key("system.topology=ring") != key("system.topology=full_mesh")


@pytest.mark.parametrize("module", ["evaluate", "model_keys", "serving", "worker"])
def test_other_code_that_computes_a_point_gives_other_keys(
    module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "explore"
    shutil.copytree(Path(identity.__file__).parent, folder, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(identity, "__file__", str(folder / "identity.py"))
    same = point_digest.__wrapped__()
    assert same == point_digest()
    (folder / f"{module}.py").write_text("# other\n")
    assert point_digest.__wrapped__() != same
