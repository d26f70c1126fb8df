"""Who runs the batches: this process, other processes here (loky), or an existing Dask or Ray cluster, by joblib."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from rdusim.errors import OptionError, Problem
from rdusim.explore.axes import Request
from rdusim.explore.identity import point_digest
from rdusim.explore.serving import ServeRequest
from rdusim.explore.store import Outcome
from rdusim.explore.worker import run_batch
from rdusim.shipped import names

LOKY: Final = "loky"
_REACH: Final = 5.0  # seconds to wait for a cluster to answer
_RESTARTS: Final = 3  # times that killed worker processes are replaced


@dataclass(frozen=True, slots=True, kw_only=True)
class Backend:
    """`jobs`: processes here, None for one a core. `scheduler`: address of a cluster that is there already."""

    name: str = LOKY
    jobs: int | None = None
    scheduler: str | None = None


def check_backend(backend: Backend) -> None:
    """Raises OptionError for what can be seen to be wrong before there is any work."""
    problems = []
    if backend.name not in BACKENDS:
        hint = f"one of {', '.join(BACKENDS)}"
        problems.append(Problem(field="--backend", message=f"unknown value {backend.name!r}", hint=hint))
    elif backend.name == LOKY and backend.scheduler is not None:
        hint = "--backend dask or --backend ray"
        problems.append(Problem(field="--scheduler", message="loky runs here and needs no address", hint=hint))
    elif backend.name != LOKY and backend.scheduler is None:
        message = f"{backend.name} runs on a cluster that is there already: where?"
        problems.append(Problem(field="--scheduler", message=message, hint=_ADDRESS[backend.name]))
    if backend.jobs is not None and backend.jobs < 1:
        problems.append(Problem(field="--jobs", message=f"{backend.jobs} is not a number of processes: at least 1"))
    if problems:
        raise OptionError(*problems)


@contextmanager
def open_backend(backend: Backend) -> Iterator[Pool]:
    """Raises OptionError for a cluster that does not answer, or has another rdusim."""
    check_backend(backend)
    with BACKENDS[backend.name](backend) as pool:
        yield pool


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """`jobs` at once. `settings`: of joblib's backend. `away`: workers have another working directory.

    `streams`: a batch comes back when it is done; otherwise as many as there are jobs come back together.
    """

    jobs: int
    settings: Mapping[str, Any]
    away: bool = False
    streams: bool = True

    @property
    def here(self) -> bool:
        """Whether this process does it all."""
        return self.jobs == 1 and not self.away

    def run(
        self, batches: Sequence[Sequence[int]], requests: Sequence[Request], *, remap: bool, files: str
    ) -> Generator[tuple[Sequence[int], list[Outcome]]]:
        """Batches of numbers of requests, with their outcomes, as they are done. Closed early, it ends workers here."""
        if self.here:
            for batch in batches:
                yield batch, run_batch([requests[number] for number in batch], remap=remap, files=files)
            return
        asked = _absolute(requests) if self.away else requests
        left = dict(enumerate(batches))
        for restart in range(_RESTARTS + 1):
            try:
                with closing(self._parallel(left, asked, remap, files)) as done:
                    for number, outcomes in done:
                        batch = left.pop(number)
                        yield batch, [_relative(outcome) for outcome in outcomes] if self.away else outcomes
                return
            except Exception as error:
                if restart == _RESTARTS or type(error).__name__ not in _KILLED:
                    raise _lost(error) if type(error).__name__ in _KILLED else error from None

    def _parallel(
        self, batches: Mapping[int, Sequence[int]], requests: Sequence[Request], remap: bool, files: str
    ) -> Generator[tuple[int, list[Outcome]]]:
        from joblib import Parallel, delayed, parallel_config

        work = [
            delayed(_numbered)(number, [requests[each] for each in batch], remap, files)
            for number, batch in batches.items()
        ]
        with parallel_config(**self.settings):
            if self.streams:
                with closing(Parallel(return_as="generator_unordered", batch_size=1)(work)) as done:
                    yield from done
                return
            for begin in range(0, len(work), self.jobs):
                yield from Parallel(batch_size=1)(work[begin : begin + self.jobs])


def _numbered(number: int, requests: Sequence[Request], remap: bool, files: str) -> tuple[int, list[Outcome]]:
    return number, run_batch(requests, remap=remap, files=files)


_KILLED: Final = ("TerminatedWorkerError", "BrokenProcessPool", "KilledWorker")


def _lost(error: Exception) -> OptionError:
    message = f"worker processes were killed again and again ({type(error).__name__})"
    hint = "is there enough memory? --jobs with fewer processes; what was done is kept"
    return OptionError(Problem(field="--jobs", message=message, hint=hint))


_FILES: Final = ("model", "draft", "arch", "memory_hints")


def _absolute(requests: Sequence[Request]) -> list[Request]:
    """Files by whole paths: a worker elsewhere has another working directory. Names of shipped things are no paths."""
    shipped = {*names("graphs"), *names("arch")}
    whole: dict[str, str] = {}

    def of(request: Request) -> Request:
        if isinstance(request, ServeRequest):
            return replace(request, file=str(Path(request.file).resolve()))
        found: dict[str, Any] = {}
        for name in _FILES:
            if (path := getattr(request, name)) and path not in shipped:
                if path not in whole:
                    whole[path] = str(Path(path).resolve()) if os.path.lexists(path) else path
                found[name] = whole[path]
        return replace(request, **found) if found else request

    return [of(request) for request in requests]


def _relative(outcome: Outcome) -> Outcome:
    """The same message as here."""
    return replace(outcome, error=outcome.error.replace(f"{Path.cwd()}{os.sep}", "")) if outcome.error else outcome


@contextmanager
def _loky(backend: Backend) -> Iterator[Pool]:
    from joblib import cpu_count

    jobs = backend.jobs or cpu_count()
    yield Pool(jobs=jobs, settings={"backend": "loky", "n_jobs": jobs})


@contextmanager
def _dask(backend: Backend) -> Iterator[Pool]:
    distributed = _needed("distributed", "dask")
    import logging

    logging.getLogger("distributed").setLevel(logging.ERROR)  # a lost worker is no news: its batch runs elsewhere
    try:
        # A client that fails halfway waits for itself when it is thrown away: look first.
        distributed.comm.registry.get_backend(distributed.comm.parse_address(backend.scheduler)[0])
        _knock(backend.scheduler or "")
        client = distributed.Client(backend.scheduler, timeout=_REACH, set_as_default=False)
    except (OSError, TimeoutError, ValueError, RuntimeError) as error:
        raise _unreachable(backend, error) from None
    with client:
        workers = client.scheduler_info(n_workers=-1)["workers"]
        if not workers:
            raise OptionError(
                Problem(field="--scheduler", message=f"{backend.scheduler} has no workers", hint="start some")
            )
        _same_code(client.run(point_digest), backend)
        jobs = sum(worker["nthreads"] for worker in workers.values())
        yield Pool(jobs=jobs, settings={"backend": "dask", "client": client, "n_jobs": jobs}, away=True)


@contextmanager
def _ray(backend: Backend) -> Iterator[Pool]:
    ray = _needed("ray", "ray")
    from ray.util.joblib import register_ray

    try:
        _knock(backend.scheduler or "")  # ray itself would try for minutes
        ray.init(address=backend.scheduler, logging_level="ERROR", log_to_driver=False)
    except (ConnectionError, OSError, ValueError, RuntimeError) as error:
        raise _unreachable(backend, error) from None
    try:
        _same_code({"a worker": ray.get(ray.remote(_digest).remote(), timeout=60.0)}, backend)
        register_ray()
        jobs = int(ray.cluster_resources().get("CPU", 1))
        yield Pool(jobs=jobs, settings={"backend": "ray", "n_jobs": jobs}, away=True, streams=False)
    finally:
        ray.shutdown()


BACKENDS: Final[Mapping[str, Callable[[Backend], AbstractContextManager[Pool]]]] = {
    LOKY: _loky,
    "dask": _dask,
    "ray": _ray,
}
_ADDRESS: Final = {"dask": "--scheduler tcp://HOST:8786", "ray": "--scheduler ray://HOST:10001"}


def _knock(address: str) -> None:
    """Raises OSError or ValueError where nothing listens at `HOST:PORT`, with or without `ray://` in front."""
    host, colon, port = address.rpartition("://")[2].rpartition(":")
    if not (colon and host and port.isdecimal()):
        raise ValueError("an address has a host and a port")
    socket.create_connection((host.strip("[]"), int(port)), timeout=_REACH).close()


def _needed(module: str, extra: str) -> Any:
    try:
        return import_module(module)
    except ImportError:
        message, hint = f"needs the package {module}", f"pip install 'rdusim[{extra}]'"
        raise OptionError(Problem(field="--backend", message=message, hint=hint)) from None


def _unreachable(backend: Backend, error: Exception) -> OptionError:
    said = str(error).splitlines()[0] if str(error) else type(error).__name__
    message = f"no {backend.name} cluster answers at {backend.scheduler}: {said}"
    return OptionError(Problem(field="--scheduler", message=message, hint=_ADDRESS[backend.name]))


def _digest() -> str:
    """A plain function: Ray takes nothing that is wrapped."""
    return point_digest()


def _same_code(digests: Mapping[str, str], backend: Backend) -> None:
    """Other code gives other figures under the keys of this one."""
    other = [name for name, digest in digests.items() if digest != point_digest()]
    if other:
        message = f"{len(other)} of {len(digests)} workers at {backend.scheduler} have another version of rdusim"
        raise OptionError(Problem(field="--scheduler", message=message, hint=f"install this one there: {other[0]}"))
