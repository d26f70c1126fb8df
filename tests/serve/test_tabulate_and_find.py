"""Tables foretell what was not measured, within the error they state; bisection finds what a sweep finds."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import pytest

from rdusim.errors import OptionError
from rdusim.serve.arrivals import Poisson
from rdusim.serve.costs import Constant
from rdusim.serve.find import at_rate, find_max_rate, find_min_nodes, growing
from rdusim.serve.lengths import Fixed
from rdusim.serve.options import ServeOptions
from rdusim.serve.requests import make_requests
from rdusim.serve.serve import serve
from rdusim.serve.slo import parse_slo
from rdusim.serve.tabulate import Grid, table_of
from rdusim.serve.types import Expert, ServeResult
from rdusim.units import Bytes, Seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Roofline(Constant):
    """Memory-bound up to a batch, compute-bound beyond; prefill has a floor and grows faster than its tokens."""

    calls: list[int] = field(default_factory=list)

    def prefill(self, shape: str, batch: int, tokens: int) -> Seconds:
        self.calls.append(batch)
        return Seconds(max(0.004, 2e-5 * batch * tokens) + 1e-9 * batch * tokens**2)

    def decode(self, shape: str, batch: int, context: float) -> Seconds:
        self.calls.append(batch)
        return Seconds(max(0.009 + 3e-7 * batch * context, 4e-4 * batch))


def test_a_table_keeps_the_error_it_was_asked_for_and_states_it() -> None:
    source = Roofline(weight_bytes=10**10, kv_bytes_per_token=2**19)
    grid = Grid(batches=(1, 64), tokens=(16, 4096), contexts=(16, 4096), tolerance=0.02, most=16)
    table = table_of(source, ["s"], grid)
    made = len(source.calls)
    assert table.shapes["s"].measured == made  # no place was measured twice
    rng = np.random.default_rng(0)
    places = list(zip(rng.integers(1, 65, 300).tolist(), rng.integers(16, 4097, 300).tolist(), strict=True))
    off = [
        abs(getattr(table, ask)("s", *place) / getattr(source, ask)("s", *place) - 1)
        for ask in ("prefill", "decode")
        for place in places
    ]
    assert np.mean(off) < grid.tolerance and max(off) < 3 * max(table.shapes["s"].inside, grid.tolerance)
    assert table.decode_bytes("s", 7, 100) == pytest.approx(source.decode_bytes("s", 7, 100), rel=1e-3)
    # Beyond its range it goes on along the last slope.
    assert table.decode("s", 64, 8192) == pytest.approx(source.decode("s", 64, 8192), rel=0.02)
    assert table.switch(Bytes(10**9), "ddr", "hbm") == source.switch(Bytes(10**9), "ddr", "hbm")


def test_what_is_linear_is_tabulated_without_error() -> None:
    source = Constant(prefill_seconds=0.1, prefill_per_token=0.01, decode_seconds=0.2, decode_per_context=0.001)
    table = table_of(source, ["s"], Grid(batches=(1, 9), tokens=(1, 50), contexts=(1, 50)))
    assert table.shapes["s"].inside < 1e-12 and table.shapes["s"].beyond < 1e-12
    with pytest.raises(OptionError, match="contexts"):
        table_of(source, ["s"], Grid(contexts=(5, 2)))


COSTS = Constant(prefill_seconds=0.1, decode_seconds=0.01, decode_per_sequence=0.002)


def run(rate: float, nodes: int = 1) -> ServeResult:
    requests = make_requests(Poisson(rate=1.0), Fixed(prompt=10, output=20), 400, np.random.default_rng(0))
    expert = Expert(name="one", shape="s", weight_bytes=Bytes(1))
    return serve(at_rate(requests, rate), [expert], COSTS, ServeOptions(nodes=nodes, prefill_tokens=10))


def test_bisection_finds_the_rate_and_the_nodes() -> None:
    slo = parse_slo("ttft=1s,tpot=500ms,share=95%")
    found = find_max_rate(run, slo, low=0.1, high=100, tolerance=0.02)
    assert found.value is not None and 1 < found.value < 10  # prompts alone limit it to 10 a second
    kept = {trial.value: trial.share >= slo.share for trial in found.trials}
    assert max(value for value, keeps in kept.items() if keeps) == found.value
    assert min(value for value, keeps in kept.items() if not keeps) <= found.value * 1.02
    nodes = find_min_nodes(lambda count: run(20.0, count), slo, most=32)
    assert nodes.value is not None and nodes.value >= 20 / found.value * 0.7
    fewer = {int(trial.value): trial.share for trial in nodes.trials}
    assert fewer[int(nodes.value)] >= slo.share > fewer[int(nodes.value) - 1]
    assert find_max_rate(run, slo, low=0.1, high=0.2).bounded


@pytest.mark.parametrize(("nodes", "capacity"), [(1, 2.0), (3, 6.0)])
def test_no_rate_above_capacity_is_kept_however_loose_the_slo(nodes: int, capacity: float) -> None:
    requests = make_requests(Poisson(rate=1.0), Fixed(prompt=10, output=1), 3000, np.random.default_rng(0))
    expert = Expert(name="one", shape="s", weight_bytes=Bytes(1))
    costs, options = Constant(prefill_seconds=0.5), ServeOptions(nodes=nodes, prefill_tokens=10)

    def at(rate: float) -> ServeResult:
        return serve(at_rate(requests, rate), [expert], costs, options)

    found = find_max_rate(at, parse_slo("ttft=1000000s"), low=0.01, high=1000)
    assert found.value is not None and 0.95 * capacity <= found.value <= capacity
    assert "saturated" in found.message and not found.bounded
    assert growing(at(1.5 * capacity)) and not growing(at(0.5 * capacity))


def test_an_slo_that_no_rate_meets_says_by_how_much_it_is_missed() -> None:
    found = find_max_rate(run, parse_slo("ttft=50ms,tpot=1s"), low=0.01, high=10)
    assert found.value is None and "cannot be met" in found.message and "times its limit" in found.message
    assert set(found.missed) == {"ttft"} and found.missed["ttft"] == pytest.approx(2.0, rel=0.5)
    assert find_min_nodes(lambda count: run(1.0, count), parse_slo("ttft=50ms"), most=3).value is None


@pytest.mark.parametrize("text", ["", "ttft", "ttft=2", "speed=2s", "ttft=1s,ttft=2s", "ttft=0s", "ttft=1s,share=0"])
def test_wrong_objectives_are_refused(text: str) -> None:
    with pytest.raises(OptionError, match="slo"):
        parse_slo(text)


def test_objectives_are_read() -> None:
    slo = parse_slo("ttft=2s, tpot=50ms, share=95%")
    assert (slo.limits, slo.share) == ({"ttft": 2.0, "tpot": 0.05}, 0.95)
    requests = make_requests(Poisson(rate=1.0), Fixed(prompt=1, output=1), 3, np.random.default_rng(0))
    with pytest.raises(OptionError, match="no rate to change"):
        at_rate(replace(requests, arrival=np.zeros(3)), 2.0)
    with pytest.raises(OptionError, match="make no sense"):
        find_max_rate(run, slo, low=0.0, high=1.0)
