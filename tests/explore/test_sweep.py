"""Sweeps of a small model on a machine to compute by hand: each point takes milliseconds."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rdusim.errors import OptionError
from rdusim.explore.backends import Backend
from rdusim.explore.experiment import Experiment, wanted_of
from rdusim.explore.store import Store
from rdusim.explore.sweep import Counts, sweep
from rdusim.explore.tables import as_json, csv_text, parquet_bytes, table
from rdusim.pipeline import Cache, RunRequest, answer
from rdusim.report.sweep import SweepResult
from rdusim.report.sweep_plot import sweep_svg

BASE = RunRequest(model="toy-mlp", arch="toy")
BANDWIDTH, LATENCY, SRAM = "socket.memory.hbm.bandwidth", "socket.memory.hbm.latency", "socket.tile.pmu.capacity"
HERE = Backend(jobs=1)


def experiment(*vary: str, **options: object) -> Experiment:
    wanted = tuple(wanted_of(text) for text in vary)
    return Experiment(request=BASE, title="toy", wanted=wanted, **options)  # type: ignore[arg-type]


GRID = experiment(
    f"{BANDWIDTH}=20 GB/s,40 GB/s,100 GB/s",
    f"{LATENCY}=100 ns,300 ns",
    f"{SRAM}=64 KiB,128 KiB",
    objectives=("latency.total_seconds",),
    pareto=("latency.total_seconds", BANDWIDTH),
)


@pytest.fixture(scope="module")
def grid() -> SweepResult:
    return sweep(GRID, store=Store(None), backend=HERE)


def test_a_sweep_has_a_row_for_every_point_in_the_order_of_the_axes(grid: SweepResult) -> None:
    assert len(grid) == 12
    assert grid.points[BANDWIDTH] == (20e9,) * 4 + (40e9,) * 4 + (100e9,) * 4
    assert grid.texts[SRAM] == ("64 KiB", "128 KiB") * 6
    assert grid.errors == (None,) * 12


def test_a_point_of_other_structure_is_the_run_of_that_machine(grid: SweepResult) -> None:
    """The last four points have the base's bandwidth, every second of these its latency."""
    plain = answer(replace(BASE, overrides=(f"{SRAM}=128 KiB",)))
    assert grid.metrics["latency.total_seconds"][9] == plain.latency.total_seconds


def test_remapped_every_point_is_the_run_of_its_machine() -> None:
    made = sweep(replace(GRID, remap=True), store=Store(None), backend=HERE)
    plain = answer(replace(BASE, overrides=(f"{BANDWIDTH}=20 GB/s", f"{LATENCY}=300 ns", f"{SRAM}=64 KiB")))
    assert made.metrics["latency.total_seconds"][2] == plain.latency.total_seconds


def test_the_best_point_and_the_front_are_marked(grid: SweepResult) -> None:
    seconds = grid.metrics["latency.total_seconds"]
    (best,) = grid.best
    assert best.point is not None and seconds[best.point] == min(seconds)  # type: ignore[type-var]
    assert grid.front is not None
    assert {grid.points[BANDWIDTH][number] for number, on in enumerate(grid.front.member) if on} == {20e9, 40e9}


def test_only_what_is_downstream_of_a_change_is_computed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """12 points on two machines of different SRAM: two programs are lowered."""
    from rdusim.explore import worker
    from rdusim.pipeline import stages

    lowered: list[str] = []
    plain = stages.lower
    monkeypatch.setattr(
        stages, "lower", lambda graph, arch, options: lowered.append(arch) or plain(graph, arch, options)
    )
    worker._here.__dict__.clear()
    sweep(GRID, store=Store(None), backend=HERE)
    assert len(lowered) == 2
    sweep(replace(GRID, remap=True), store=Store(None), backend=HERE)
    assert len(lowered) == 12  # two of these machines have the rates of the base


def test_a_rerun_computes_nothing_and_gives_the_same_bytes(tmp_path: Path, grid: SweepResult) -> None:
    store, counts = Store(tmp_path / "s.sqlite"), Counts()
    first = sweep(GRID, store=store, backend=HERE, counts=counts)
    assert (counts.found, counts.computed) == (0, 12)
    again, counts = sweep(GRID, store=store, backend=HERE, counts=(counts := Counts())), counts
    assert (counts.found, counts.computed) == (12, 0)
    assert csv_text(first) == csv_text(again) == csv_text(grid)


def test_a_larger_sweep_computes_only_its_new_points(tmp_path: Path) -> None:
    store, counts = Store(tmp_path / "s.sqlite"), Counts()
    sweep(GRID, store=store, backend=HERE)
    larger = replace(
        GRID, wanted=(wanted_of(f"{BANDWIDTH}=20 GB/s,30 GB/s,40 GB/s,50 GB/s,60 GB/s,100 GB/s"), *GRID.wanted[1:])
    )
    sweep(larger, store=store, backend=HERE, counts=counts)
    assert (counts.found, counts.computed) == (12, 12)


class Killed(Exception):
    pass


@settings(max_examples=8)
@given(after=st.integers(1, 11))
def test_a_sweep_that_was_cut_off_goes_on_where_it_was(after: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("store") / "s.sqlite"
    kept: list[int] = []

    def cut_off(done: int, total: int) -> None:
        kept.append(done)
        if done >= after:
            raise Killed

    with pytest.raises(Killed):
        sweep(GRID, store=Store(path), backend=HERE, observe=cut_off)
    counts = Counts()
    resumed = sweep(GRID, store=Store(path), backend=HERE, counts=counts)
    assert (counts.found, counts.found + counts.computed) == (kept[-1], 12)
    assert csv_text(resumed) == csv_text(sweep(GRID, store=Store(None), backend=HERE))


def test_a_point_that_fails_has_its_reason_and_does_not_stop_the_rest() -> None:
    made = sweep(experiment(f"{SRAM}=8 B,64 KiB,128 KiB"), store=Store(None), backend=HERE)
    assert [error is None for error in made.errors] == [False, True, True]
    assert "is less than one vector" in (made.errors[0] or "")
    assert made.failed == 1
    assert made.metrics["latency.total_seconds"][0] is None
    rows = list(csv.DictReader(io.StringIO(csv_text(made))))
    assert rows[0]["error"] == made.errors[0] and rows[1]["error"] == ""


def test_a_failure_is_kept_as_a_result_is(tmp_path: Path) -> None:
    asked, store, counts = experiment(f"{SRAM}=8 B,64 KiB"), Store(tmp_path / "s.sqlite"), Counts()
    first = sweep(asked, store=store, backend=HERE)
    assert sweep(asked, store=store, backend=HERE, counts=counts) == first
    assert counts.computed == 0


def test_a_mistake_of_ours_at_one_point_is_named_and_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rdusim.explore import worker

    plain = worker.evaluate

    def broken(request: RunRequest, *, cache: Cache, remap: bool) -> object:
        if f"{SRAM}=64 KiB" in request.overrides:
            raise ZeroDivisionError("seven")
        return plain(request, cache=cache, remap=remap)

    monkeypatch.setattr(worker, "evaluate", broken)
    asked, store, counts = experiment(f"{SRAM}=64 KiB,128 KiB"), Store(tmp_path / "s.sqlite"), Counts()
    made = sweep(asked, store=store, backend=HERE)
    assert made.errors == ("a bug in rdusim: ZeroDivisionError: seven", None)
    monkeypatch.undo()
    assert sweep(asked, store=store, backend=HERE, counts=counts).failed == 0
    assert (counts.found, counts.computed) == (1, 1)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"objectives": ("latency.totl_seconds",)}, "did you mean latency.total_seconds"),
        ({"pareto": ("latency.total_seconds", "nothing:min")}, "--pareto: no result has 'nothing'"),
        ({"pareto": ("latency.total_seconds",)}, "at least two goals"),
        ({"metrics": ("latency.total_second",)}, "--metrics: no result has"),
        ({"objectives": ("units.pcu.busy",)}, "write units.pcu.busy:min or units.pcu.busy:max"),
    ],
)
def test_goals_that_no_result_has_are_refused_after_one_point_at_most(options: dict[str, object], said: str) -> None:
    counts = Counts()
    asked = experiment(f"{BANDWIDTH}=60 GB/s..100 GB/s:1", **options)
    with pytest.raises(OptionError) as caught:
        sweep(asked, store=Store(None), backend=HERE, counts=counts)
    assert said in str(caught.value)
    assert counts.computed <= 1


def test_a_cause_that_the_first_point_has_not_may_be_a_goal() -> None:
    asked = experiment(f"{BANDWIDTH}=60 GB/s,100 GB/s", objectives=("breakdown_seconds.die_to_die",))
    (best,) = sweep(asked, store=Store(None), backend=HERE).best
    assert best.point is None


def test_other_processes_give_the_same_bytes(monkeypatch: pytest.MonkeyPatch, grid: SweepResult) -> None:
    from rdusim.explore import sweep as module

    monkeypatch.setattr(module, "SERIAL", 0.0)
    made = sweep(GRID, store=Store(None), backend=Backend(jobs=2))
    assert csv_text(made) == csv_text(grid)


def test_equal_points_are_computed_once() -> None:
    counts = Counts()
    asked = experiment("parallel=tp=1|auto", f"{BANDWIDTH}=60 GB/s", samples=20, sampling="random")
    made = sweep(asked, store=Store(None), backend=HERE, counts=counts)
    assert len(made) == 20
    assert counts.computed == 2


def test_asked_columns_are_shown_in_the_order_asked(grid: SweepResult) -> None:
    asked = replace(GRID, metrics=("bound", "breakdown_seconds.*", "memory.hbm.peak_bytes"))
    names = list(table(sweep(asked, store=Store(None), backend=HERE)))
    assert names[:4] == [BANDWIDTH, LATENCY, SRAM, "bound"]
    assert names[-4:] == ["memory.hbm.peak_bytes", "latency.total_seconds", "pareto", "error"]
    assert list(table(grid))[3] == "latency.total_seconds"


def test_csv_has_every_bit_of_a_number(grid: SweepResult) -> None:
    rows = list(csv.DictReader(io.StringIO(csv_text(grid))))
    assert [float(row["latency.total_seconds"]) for row in rows] == list(grid.metrics["latency.total_seconds"])
    assert {row["pareto"] for row in rows} == {"true", "false"}


def test_parquet_has_the_same_columns_with_their_types(grid: SweepResult) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    content = parquet_bytes(grid)
    read = parquet.read_table(io.BytesIO(content)).to_pydict()
    assert read == {name: list(values) for name, values in table(grid).items()}
    assert content == parquet_bytes(grid)


def test_json_has_rows_best_points_and_the_front(grid: SweepResult) -> None:
    found = as_json(grid)
    assert (found["points"], found["failed"], found["axes"]) == (12, 0, [BANDWIDTH, LATENCY, SRAM])
    assert isinstance(found["rows"], list) and "error" not in found["rows"][0]  # type: ignore[operator]
    assert found["best"] == [{"metric": "latency.total_seconds", "sense": "min", "point": grid.best[0].point}]


@pytest.mark.parametrize(
    ("vary", "options", "has"),
    [
        ((f"{BANDWIDTH}=60 GB/s..100 GB/s:20",), {}, "latency.total_seconds"),
        ((f"{BANDWIDTH}=60 GB/s,100 GB/s", f"{LATENCY}=100 ns,300 ns"), {}, "latency 300 ns"),
        ((f"{BANDWIDTH}=60 GB/s..100 GB/s:4", f"{LATENCY}=100 ns..1000 ns:100"), {}, "1000 ns"),
        ((f"{BANDWIDTH}=20 GB/s,100 GB/s",), {"pareto": ("latency.total_seconds", BANDWIDTH)}, "front: 2 points"),
        (("fusion=fused,unfused",), {}, "unfused"),
    ],
)
def test_a_picture_is_the_same_svg_each_time(vary: tuple[str, ...], options: dict[str, object], has: str) -> None:
    pytest.importorskip("matplotlib")
    made = sweep(experiment(*vary, **options), store=Store(None), backend=HERE)
    picture = sweep_svg(made)
    assert picture == sweep_svg(made)
    assert picture.startswith(b"<?xml") and has in picture.decode()
