"""Sweeps by other processes: killed and resumed, and on a Dask cluster that loses a worker."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from rdusim.errors import OptionError
from rdusim.explore.axes import Axis, Value, at
from rdusim.explore.backends import Backend, Pool, check_backend, open_backend
from rdusim.explore.experiment import Experiment
from rdusim.explore.identity import Identity
from rdusim.explore.space import space_of
from rdusim.explore.store import Outcome, Store
from rdusim.explore.sweep import Counts, sweep
from rdusim.explore.tables import csv_text
from tests.explore.test_sweep import BANDWIDTH, HERE, SRAM, experiment


def points_of(asked: Experiment) -> list[list[tuple[Axis, Value]]]:
    space = space_of(asked.request, asked.wanted)
    return [space.at(number) for number in range(len(space.points))]


ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("backend", "said"),
    [
        (Backend(name="daks"), "unknown value 'daks'"),
        (Backend(name="dask"), "where? (--scheduler tcp://HOST:8786)"),
        (Backend(name="ray"), "where? (--scheduler ray://HOST:10001)"),
        (Backend(scheduler="tcp://here:1"), "loky runs here"),
        (Backend(jobs=0), "0 is not a number of processes"),
    ],
)
def test_a_backend_that_makes_no_sense_is_refused(backend: Backend, said: str) -> None:
    with pytest.raises(OptionError) as caught:
        check_backend(backend)
    assert said in str(caught.value)


def test_a_cluster_that_does_not_answer_is_one_clear_error() -> None:
    pytest.importorskip("distributed")
    with (
        pytest.raises(OptionError, match=r"no dask cluster answers at tcp://127\.0\.0\.1:9: .* \(--scheduler tcp://"),
        open_backend(Backend(name="dask", scheduler="tcp://127.0.0.1:9")),
    ):
        pass


@pytest.mark.parametrize(
    ("address", "said"),
    [("nonsense", "a host and a port"), ("tcp://127.0.0.1:9", "refused"), ("foo://127.0.0.1:9", "foo")],
)
def test_where_no_dask_cluster_is_no_client_is_half_made(
    monkeypatch: pytest.MonkeyPatch, address: str, said: str
) -> None:
    """One that fails on its way waits for itself when it is thrown away, and prints a traceback."""
    distributed = pytest.importorskip("distributed")
    made: list[object] = []
    monkeypatch.setattr(distributed, "Client", lambda *of, **options: made.append(of))
    with pytest.raises(OptionError) as caught, open_backend(Backend(name="dask", scheduler=address)):
        pass
    assert f"no dask cluster answers at {address}: " in str(caught.value)
    assert said in str(caught.value)
    assert not made


def test_a_backend_whose_package_is_missing_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with (
        pytest.raises(OptionError, match=r"pip install 'rdusim\[ray\]'"),
        open_backend(Backend(name="ray", scheduler="ray://here:10001")),
    ):
        pass


@pytest.mark.parametrize(
    ("address", "said"),
    [("ray://127.0.0.1:9", "refused"), ("127.0.0.1:9", "refused"), ("nowhere", "a host and a port")],
)
def test_a_ray_cluster_is_asked_for_an_answer_before_ray_waits_for_minutes(
    monkeypatch: pytest.MonkeyPatch, address: str, said: str
) -> None:
    """Without ray: it must not come so far."""
    for name in ("ray", "ray.util", "ray.util.joblib"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    sys.modules["ray.util.joblib"].register_ray = None  # type: ignore[attr-defined]
    with pytest.raises(OptionError) as caught, open_backend(Backend(name="ray", scheduler=address)):
        pass
    assert f"no ray cluster answers at {address}: " in str(caught.value)
    assert said in str(caught.value)


SLOW = """
import os, sys, time
from rdusim.explore import worker
plain = worker.evaluate
def slow(*args, **options):
    with open(sys.argv[2], "a") as log:
        log.write(args[0].overrides[0] + "\\n")
    time.sleep(0.02)
    return plain(*args, **options)
worker.evaluate = slow
sys.path.insert(0, os.getcwd())
from pathlib import Path
from rdusim.explore.axes import Axis, Value, at
from rdusim.explore.backends import Backend
from rdusim.explore.store import Store
from rdusim.explore.sweep import sweep
from tests.explore.test_sweep import BANDWIDTH, experiment
sweep(experiment(f"{BANDWIDTH}=20 GB/s..79 GB/s:0.5"), store=Store(Path(sys.argv[1])), backend=Backend(jobs=1))
"""


def test_a_sweep_that_is_killed_outright_loses_only_the_batch_in_flight_and_does_nothing_twice(tmp_path: Path) -> None:
    """119 points, killed with SIGKILL once some dozens are done, then finished. A point is logged when it begins."""
    store, log = tmp_path / "s.sqlite", tmp_path / "log.txt"
    command = [sys.executable, "-c", SLOW, str(store), str(log)]
    process = subprocess.Popen(command, cwd=ROOT)
    begun = time.monotonic()
    while not log.exists() or len(log.read_text().splitlines()) < 40:
        assert process.poll() is None and time.monotonic() - begun < 60
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    started = log.read_text().splitlines()
    asked = experiment(f"{BANDWIDTH}=20 GB/s..79 GB/s:0.5")
    requests = [at(asked.request, point) for point in points_of(asked)]
    there = len(Store(store).get([Identity().key(request, remap=False) for request in requests]))
    lost = len(started) - there
    assert 40 <= len(started) < 119
    assert 0 <= lost <= 3  # each takes 20 ms at least, a batch 50 ms
    subprocess.run(command, cwd=ROOT, check=True)
    assert len(log.read_text().splitlines()) == 119 + lost
    assert len(set(log.read_text().splitlines())) == 119
    counts = Counts()
    resumed = sweep(asked, store=Store(store), backend=HERE, counts=counts)
    assert (counts.found, counts.computed) == (119, 0)
    assert csv_text(resumed) == csv_text(sweep(asked, store=Store(None), backend=HERE))


def test_a_pool_that_gives_batches_back_together_gives_the_same_outcomes() -> None:
    """As Ray's does."""
    asked = experiment(f"{BANDWIDTH}=20 GB/s..29 GB/s:1")
    requests = [at(asked.request, point) for point in points_of(asked)]
    batches = [[number, number + 1] for number in range(0, 10, 2)]
    together = Pool(jobs=2, settings={"backend": "loky", "n_jobs": 2}, streams=False)
    found, here = (
        {tuple(batch): outcomes for batch, outcomes in pool.run(batches, requests, remap=False, files="")}
        for pool in (together, Pool(jobs=1, settings={}))
    )
    assert found == here
    assert len(found) == 5


@pytest.fixture
def cluster() -> Iterator[object]:
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, host="127.0.0.1", dashboard_address=None
    ) as found:
        yield found


@pytest.mark.slow
def test_a_dask_cluster_that_loses_a_worker_gives_the_same_bytes_as_a_local_run(cluster: object) -> None:
    asked = experiment(f"{BANDWIDTH}=20 GB/s..79 GB/s:0.5", f"{SRAM}=8 B,64 KiB,128 KiB,256 KiB")
    backend = Backend(name="dask", scheduler=cluster.scheduler_address)  # type: ignore[attr-defined]
    killed: list[int] = []

    class Watched(Store):
        """Kills a worker when the first batch comes back."""

        def put(self, outcomes: object) -> None:
            found: list[tuple[str, Outcome]] = list(outcomes)  # type: ignore[call-overload]
            super().put(found)
            if len(found) > 1 and not killed:
                nanny = next(iter(cluster.workers.values()))  # type: ignore[attr-defined]
                killed.append(nanny.pid)
                os.kill(nanny.pid, signal.SIGKILL)

    counts = Counts()
    made = sweep(asked, store=Watched(None), backend=backend, counts=counts)
    assert killed, "no worker was killed"
    assert counts.computed == 476
    assert csv_text(made) == csv_text(sweep(asked, store=Store(None), backend=HERE))
