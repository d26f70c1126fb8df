"""What a scenario file says, value by value; nothing is simulated or loaded yet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from rdusim.serve.coe import Grouping
from rdusim.serve.kv_cache import Admission
from rdusim.serve.metrics import Prices
from rdusim.serve.router import RouterParameters
from rdusim.serve.slo import Slo
from rdusim.units import Bytes, Seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """A node. `arch`: a shipped name (`gpu/...` for a GPU baseline) or a file. `parallel`: how each model is cut."""

    arch: str = "sn40l"
    sockets: int | None = None
    overrides: tuple[str, ...] = ()
    parallel: str | None = None
    dtype: str = "bf16"
    kernel_looping: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RouterModel:
    """`model` None: routing takes no time. `policy`: which expert it says; `parameters` of that policy."""

    model: str | None = None
    output_tokens: int = 1
    policy: str = "uniform"
    parameters: RouterParameters = field(default_factory=RouterParameters)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpertEntry:
    """`count` experts of one model. `weights` None: as large as the model is in the machine's dtype."""

    model: str
    name: str
    count: int = 1
    weights: Bytes | None = None
    mutable: Bytes = Bytes(0)
    home: str = "ddr"
    pinned: bool = False

    def names(self) -> tuple[str, ...]:
        """Of one expert the name itself, of several `name-0`, `name-1` and so on."""
        return (self.name,) if self.count == 1 else tuple(f"{self.name}-{number}" for number in range(self.count))


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpertRegion:
    """`size` None: what router and KV leave of the nearest tier. `cache`: a policy of serve/expert_cache."""

    size: Bytes | None = None
    cache: str = "lru"
    warm: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class KvEntry:
    """`near` None: what router and experts leave of the nearest tier; then the region of experts has a size."""

    near: Bytes | None = None
    far: Bytes = Bytes(0)
    block_tokens: int = 16
    admission: Admission = Admission.GROW


@dataclass(frozen=True, slots=True, kw_only=True)
class ArrivalEntry:
    """`process`: of serve/arrivals; `numbers`: its fields. `folder`: of the tables of clients. `requests`: how many."""

    process: str
    requests: int
    numbers: Mapping[str, float] = field(default_factory=dict)
    folder: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LengthEntry:
    """`source`: of serve/lengths; `numbers`: its fields. `file`: of a trace whose lengths are taken."""

    source: str
    numbers: Mapping[str, float] = field(default_factory=dict)
    file: Path | None = None
    shuffled: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceEntry:
    """Replay: requests in the order of the file, at its times divided by `speed`; `requests` None: all of them."""

    file: Path
    requests: int | None = None
    speed: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SchedulerEntry:
    """`name`: `coe` (batches of the composition, serve/coe), or one of serve/schedulers. The rest as they define it.

    `batch`: sequences at once. `grouping`, `overlap`: of `coe`. `batches`, `prompts`: compiled shapes of `static`.
    """

    name: str = "coe"
    batch: int = 8
    grouping: Grouping = Grouping.PAIRS
    overlap: bool = False
    patience: Seconds = Seconds(1.0)
    timeout: Seconds = Seconds(0.05)
    decode_first: bool = False
    prefill_tokens: int = 8192
    chunk_tokens: int = 512
    batches: tuple[int, ...] = ()
    prompts: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """Requests come from `trace`, or from `arrivals` with `lengths`; the other is None."""

    name: str
    about: str
    file: Path
    machine: Machine
    nodes: int
    dispatcher: str
    network: Seconds
    router: RouterModel
    experts: tuple[ExpertEntry, ...]
    region: ExpertRegion
    kv: KvEntry | None
    arrivals: ArrivalEntry | None
    lengths: LengthEntry | None
    trace: TraceEntry | None
    scheduler: SchedulerEntry
    slo: Slo | None
    prices: Prices
    seed: int
