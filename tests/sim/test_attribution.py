"""What the time in which operands come is spent on: the memory first, and the same in both engines."""

from __future__ import annotations

import pytest

from rdusim.arch.load import load_arch
from rdusim.graph.load import load_graph
from rdusim.graph.types import Phase, RunShape
from rdusim.mapping.map_onto import map_onto
from rdusim.mapping.types import Mapping
from rdusim.program.lower import lower
from rdusim.program.types import LowerOptions
from rdusim.sim.causes import AGCU, Causes
from rdusim.sim.discrete.engine import discrete
from rdusim.sim.steady import steady
from rdusim.sim.trace import Trace


def decode(model: str, context: int, sockets: int) -> Mapping:
    arch = load_arch("sn40l")
    shape = RunShape(phase=Phase.DECODE, batch=1, query_tokens=1, context_tokens=context)
    return map_onto(lower(load_graph(model, shape), arch, LowerOptions(sockets=sockets)), arch)


def shares(trace: Trace) -> dict[str, float]:
    """Part of the time of each cause; they sum to 1."""
    spent: dict[str, float] = {}
    for section in trace.sections:
        for cause, cycles in section.breakdown.items():
            spent[cause] = spent.get(cause, 0.0) + cycles / trace.cycles
    assert sum(spent.values()) == pytest.approx(1.0, rel=1e-9)
    return spent


@pytest.mark.parametrize(
    ("model", "sockets", "contexts"),
    [("llama-3.1-8b", 1, (2048, 4096, 8192)), ("mistral-7b", 8, (512, 1024, 2048, 4096, 8192))],
)
def test_decode_is_memory_bound_in_both_engines_at_every_context(
    model: str, sockets: int, contexts: tuple[int, ...]
) -> None:
    arch, before = load_arch("sn40l"), None
    for context in contexts:
        mapping = decode(model, context, sockets)
        closed, events = (shares(engine(mapping, arch)) for engine in (steady, discrete))
        assert max(closed, key=closed.__getitem__) == max(events, key=events.__getitem__) == "hbm"
        assert closed["hbm"] == pytest.approx(events["hbm"], abs=0.2)
        assert before is None or closed["hbm"] == pytest.approx(before, abs=0.2)
        before = closed["hbm"]


def test_a_memory_has_what_its_bandwidth_alone_needs_of_the_time_that_operands_take() -> None:
    (decoder,) = (
        each for each in steady(decode("llama-3.1-8b", 4096, 1), load_arch("sn40l")).sections if each.repeats > 1
    )
    spent = {cause: cycles / decoder.repeats for cause, cycles in decoder.breakdown.items()}
    assert decoder.bounds["hbm"] > decoder.bounds[AGCU]
    assert spent["hbm"] == pytest.approx(decoder.bounds["hbm"], rel=0.05)  # some streams alone beyond its space


def test_where_agcus_alone_need_more_than_the_memory_they_are_named_first() -> None:
    """Twice the bandwidth: the requests that AGCUs keep under way are what binds."""
    arch = load_arch("sn40l", ["socket.memory.hbm.bandwidth=3.6TB/s"])
    shape = RunShape(phase=Phase.DECODE, batch=1, query_tokens=1, context_tokens=4096)
    mapping = map_onto(lower(load_graph("llama-3.1-8b", shape), arch, LowerOptions(sockets=8)), arch)
    for engine in (steady, discrete):
        decoder = max(engine(mapping, arch).sections, key=lambda each: each.cycles)
        assert decoder.bottleneck == AGCU


def test_cycles_of_several_causes_are_shared_in_proportion() -> None:
    causes = Causes(("hbm", "ddr"))
    mixed = causes.mixture({"hbm": 3.0, AGCU: 1.0, "ddr": 0.0})
    assert causes.mixture({"hbm": 2.0, AGCU: 0.0}) == causes.number["hbm"]
    assert causes.of({mixed: 8.0, causes.number["hbm"]: 1.0}) == {"hbm": 7.0, AGCU: 2.0}


def test_what_rounding_leaves_of_a_time_is_no_cause() -> None:
    """Where AGCUs alone need all the time, nothing is left for the memory, not even a part in 1e13 of it."""
    arch = load_arch("sn40l", ["socket.memory.hbm.bandwidth=3.6TB/s"])
    shape = RunShape(phase=Phase.DECODE, batch=1, query_tokens=1, context_tokens=4096)
    mapping = map_onto(lower(load_graph("llama-3.2-1b", shape), arch, LowerOptions(sockets=8)), arch)
    for engine in (steady, discrete):
        for section in engine(mapping, arch).sections:
            assert sum(section.breakdown.values()) == pytest.approx(section.cycles, rel=1e-12)
            assert min(section.breakdown.values()) > 1e-9 * section.cycles, (engine.__name__, section.name)
