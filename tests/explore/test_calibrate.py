from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from rdusim.baselines.published_rows import CHOSEN
from rdusim.explore.calibrate import Predictor, bounded, published, row_of
from rdusim.explore.calibration_file import read_calibration, start_of
from rdusim.pipeline import Cache
from rdusim.pipeline.validate import predict

FOLDER = Path(__file__).resolve().parents[2] / "experiments/calibration"
SMALL = """
parameters:
  - {path: launch.execute, low: 0.3 us, high: 5 us, why: a test}
  - {path: socket.memory.hbm.timing.refresh_time, low: 160 ns, high: 350 ns, why: a test}
targets:
  - {target: T55, uncertainty: 0.1, why: a test}
  - {target: T41, uncertainty: 0.05, why: a test}
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "calibration.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def rows(name: str) -> list[dict[str, str]]:
    with (FOLDER / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_the_shipped_calibration_has_every_rate_that_was_chosen_with_these_targets() -> None:
    calibration = read_calibration(FOLDER / "calibration.yaml")
    targets = {aim.target for aim in calibration.targets}
    paths = {free.path for free in calibration.parameters}
    chosen = {path for path, used in CHOSEN.items() if targets & set(used) and path.startswith(("launch.", "system."))}
    assert chosen <= paths
    assert "socket.memory.hbm.timing.refresh_time" in paths


def test_the_results_are_of_the_machine_as_it_is_now() -> None:
    """Run make calibrate after a change of its values."""
    calibration = read_calibration(FOLDER / "calibration.yaml")
    found = {row["parameter"]: row for row in rows("parameters.csv")}
    assert found.keys() == {free.path for free in calibration.parameters}
    for free in calibration.parameters:
        assert float(found[free.path]["sn40l"]) == pytest.approx(start_of(free), rel=1e-2)
        assert (float(found[free.path]["lower_bound"]), float(found[free.path]["upper_bound"])) == (free.low, free.high)
    for row, aim in zip(rows("targets.csv"), calibration.targets, strict=True):
        assert row["target"] == aim.target
        assert float(row["published"]) == pytest.approx(published(aim.target), rel=1e-2)


def test_predictions_are_those_of_whole_runs(tmp_path: Path) -> None:
    """At the machine's values, at a simulated value of the other parameter, and between such values."""
    calibration = read_calibration(written(tmp_path, SMALL))
    cache = Cache()
    predictor = Predictor(calibration, cache=cache, observe=lambda _: None)
    assert [parameter.start for parameter in bounded(calibration)] == [1.5, 260.0]
    for values, near in (((1.5, 260.0), 1e-12), ((4.0, 160.0), 1e-12), ((2.0, 300.0), 1e-3)):
        overrides = tuple(free.override(value) for free, value in zip(calibration.parameters, values, strict=True))
        whole = [predict(row_of(aim.target), overrides, cache=cache, compiled=()) for aim in calibration.targets]
        assert predictor.predict(values) == pytest.approx(whole, rel=near)
    least = predictor.residuals(np.log(np.array([1.5, 260.0])))
    assert least[0] == pytest.approx(np.log(predictor.predict((1.5, 260.0))[0] / 1.6e-3) / 0.1)


def test_a_size_is_put_in_as_whole_bytes() -> None:
    size, time = (
        next(free for free in read_calibration(FOLDER / "calibration.yaml").parameters if free.path == path)
        for path in ("launch.argument_bytes_per_stream", "launch.execute")
    )
    assert size.override(90.6) == "launch.argument_bytes_per_stream=91 B"
    assert time.override(1.25) == "launch.execute=1.25 us"
