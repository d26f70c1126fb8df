"""What a run costs its user: CPU time and peak memory of fresh processes, against the targets of the table below.

CPU time (user + system, of the process and the children it waited for) rather than wall time: a shared machine
stretches the latter. A target is met by the median; the best is printed to tell a slow program from a busy machine.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Benchmark:
    """A command line of rdusim and what it may cost: CPU seconds, or a multiple of another benchmark's."""

    name: str
    arguments: tuple[str, ...]
    cpu_seconds: float | None = None
    times: float | None = None
    of: str | None = None
    rss_bytes: int = 300_000_000


SERVE: Final = Path(__file__).parent
BENCHMARKS: Final = (
    Benchmark(name="help", arguments=("--help",), cpu_seconds=0.15),
    Benchmark(name="decode 8B", arguments=("run", "llama-3.1-8b", "--phase", "decode"), cpu_seconds=1.5),
    Benchmark(
        name="decode 405B, 16 sockets",
        arguments=("run", "llama-3.1-405b", "--arch", "sn40l-x16", "--phase", "decode"),
        cpu_seconds=3.0,
    ),
    Benchmark(
        name="prefill 8B, 8192 tokens",
        arguments=("run", "llama-3.1-8b", "--phase", "prefill", "--input-tokens", "8192"),
        times=2.0,
        of="decode 8B",
    ),
    Benchmark(name="decode 8B, SN50 x 8", arguments=("run", "llama-3.1-8b", "--arch", "sn50"), cpu_seconds=3.0),
    Benchmark(
        name="decode 8B, SN50 x 256",
        arguments=("run", "llama-3.1-8b", "--arch", "sn50-x256", "--batch", "32", "--parallel", "tp=8,dp=8,pp=4"),
        times=2.0,
        of="decode 8B, SN50 x 8",
    ),
    Benchmark(
        name="decode DeepSeek-V3, 16",
        arguments=("run", "deepseek-v3", "--arch", "sn40l-x16", "--phase", "decode"),
        cpu_seconds=4.0,
    ),
    Benchmark(
        name="discrete, prefill 8B 4096",
        arguments=("run", "llama-3.1-8b", "--phase", "prefill", "--input-tokens", "4096", "--engine", "discrete"),
        cpu_seconds=5.0,
    ),
    Benchmark(
        name="sweep of 1,000 points, 8B",
        arguments=(
            *("sweep", "llama-3.1-8b", "--phase", "decode", "--jobs", "1", "--no-store"),
            *("--vary", "socket.memory.hbm.bandwidth=1 TB/s..2.8 TB/s:0.2"),
            *("--vary", "socket.memory.hbm.latency=300 ns..1200 ns:100"),
            *("--vary", "socket.tile.pmu.capacity=256 KiB..1408 KiB:128"),
        ),
        cpu_seconds=60.0,
    ),
    # Their steps are simulated in the run that is not counted, and read from disk in the others.
    Benchmark(
        name="serve 10,000 of a trace",
        arguments=("serve", str(SERVE / "serve-trace.yaml")),
        cpu_seconds=2.0,
        rss_bytes=150_000_000,
    ),
    Benchmark(
        name="serve a million, 150 CoE",
        arguments=("serve", str(SERVE / "serve-million.yaml")),
        cpu_seconds=60.0,
        rss_bytes=1_000_000_000,
    ),
)
MAPPING_SECONDS: Final = 3.0  # mapping of Llama-2-7B's decode step from cold (inside.py)
EVENTS_PER_SECOND: Final = 2e6  # tile events of the engine discrete a CPU second (inside.py)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What one benchmark took over its repeats, beside what it may take. `rss_bytes` is the largest."""

    name: str
    command: str
    best_cpu_seconds: float
    median_cpu_seconds: float
    target_cpu_seconds: float
    rss_bytes: int
    target_rss_bytes: int

    @property
    def passed(self) -> bool:
        return self.median_cpu_seconds <= self.target_cpu_seconds and self.rss_bytes <= self.target_rss_bytes

    def __str__(self) -> str:
        return (
            f"{self.name:<26}{self.best_cpu_seconds:>6.2f} s{self.median_cpu_seconds:>7.2f} s"
            f"{self.target_cpu_seconds:>7.2f} s{self.rss_bytes / 1e6:>6.0f} MB{self.target_rss_bytes / 1e6:>6.0f} MB"
            f"  {'pass' if self.passed else 'FAIL'}"
        )


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--repeat", type=int, default=5, help="fresh processes per benchmark (default: 5)")
    options.add_argument("--json", type=Path, metavar="FILE", help="also write the figures to FILE")
    chosen = options.parse_args()
    if chosen.repeat < 1:
        options.error("--repeat: at least 1")
    command = rdusim_command()
    results: dict[str, Measured] = {}
    print(f"{'':<26}{'best':>8}{'median':>9}{'target':>9}{'RSS':>9}{'target':>9}")
    for benchmark in BENCHMARKS:
        results[benchmark.name] = measure(benchmark, command, chosen.repeat, target_seconds(benchmark, results))
        print(results[benchmark.name], flush=True)
    inside = {name: median_inside(name, chosen.repeat) for name in ("mapping", "events")}
    mapping, events = inside["mapping"]["cpu_seconds"], inside["events"]["events_per_second"]
    kept = mapping <= MAPPING_SECONDS and events >= EVENTS_PER_SECOND
    print(f"{'mapping, llama-2-7b decode':<26}{'':>8}{mapping:>7.2f} s{MAPPING_SECONDS:>7.2f} s")
    print(f"{'discrete, million events/s':<26}{'':>8}{events / 1e6:>9.1f}{EVENTS_PER_SECOND / 1e6:>9.1f}")
    if chosen.json:
        chosen.json.write_text(json.dumps(report(results) | {"inside": inside}, indent=2) + "\n", encoding="utf-8")
    return 0 if kept and all(measured.passed for measured in results.values()) else 1


def median_inside(name: str, repeat: int) -> dict[str, float]:
    """Medians of what inside.py measures in fresh processes."""
    command = [sys.executable, str(Path(__file__).with_name("inside.py")), name]
    runs = [json.loads(subprocess.run(command, check=True, capture_output=True).stdout) for _ in range(repeat)]
    return {key: statistics.median(run[key] for run in runs) for key in runs[0]}


def rdusim_command() -> Path:
    """The `rdusim` of the environment that runs this file, else the first on the PATH."""
    beside = Path(sys.executable).with_name("rdusim")
    found = str(beside) if beside.exists() else shutil.which("rdusim")
    if found is None:
        sys.exit("rdusim is not installed here: run `make bench`")
    return Path(found)


def target_seconds(benchmark: Benchmark, before: dict[str, Measured]) -> float:
    """The limit in seconds; a relative one becomes that by the median of the benchmark it names, which ran before."""
    if benchmark.times is not None and benchmark.of is not None:
        return benchmark.times * before[benchmark.of].median_cpu_seconds
    assert benchmark.cpu_seconds is not None, f"{benchmark.name} has no target"
    return benchmark.cpu_seconds


def measure(benchmark: Benchmark, command: Path, repeat: int, target: float) -> Measured:
    run_once(benchmark, command)  # compiles bytecode and fills the file cache; what a first run after install pays
    runs = [run_once(benchmark, command) for _ in range(repeat)]
    seconds = [cpu for cpu, _ in runs]
    return Measured(
        name=benchmark.name,
        command=" ".join(("rdusim", *benchmark.arguments)),
        best_cpu_seconds=min(seconds),
        median_cpu_seconds=statistics.median(seconds),
        target_cpu_seconds=target,
        rss_bytes=max(rss for _, rss in runs),
        target_rss_bytes=benchmark.rss_bytes,
    )


def run_once(benchmark: Benchmark, command: Path) -> tuple[float, int]:
    """CPU seconds and peak resident bytes of one fresh process; leaves with its message when it fails."""
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            [command, *benchmark.arguments], stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
        )
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)  # reaped here, so Popen must not wait for it
        if process.returncode:
            output.seek(0)
            message = output.read().decode(errors="replace")
            sys.exit(f"rdusim {' '.join(benchmark.arguments)}: exit code {process.returncode}\n{message}")
    unit = 1 if sys.platform == "darwin" else 1024  # getrusage(2): bytes on macOS, KiB elsewhere
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss * unit


def report(results: dict[str, Measured]) -> dict[str, object]:
    """The figures as JSON values, with what is needed to compare them with another machine's."""
    return {
        "machine": {"python": platform.python_version(), "machine": platform.machine(), "cpus": os.cpu_count()},
        "benchmarks": [asdict(measured) | {"passed": measured.passed} for measured in results.values()],
    }


if __name__ == "__main__":
    sys.exit(main())
