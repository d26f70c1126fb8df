"""Timed event graphs: hand-computed cases, and the fast ways against the plain definition."""

from __future__ import annotations

from itertools import pairwise

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rdusim.errors import DeadlockError
from rdusim.kernel.howard import cycle_mean
from rdusim.kernel.makespan import makespan
from rdusim.kernel.maxplus import EventGraph, critical_path, event_graph, fire, first_firing

COMPUTE, MOVE, CREDIT = 0, 1, 2


def pipeline(services: list[float], hop: float, depth: int) -> EventGraph:
    """Stages with a start and an end event each, joined by buffers of `depth` places."""
    arcs = []
    for stage, service in enumerate(services):
        arcs += [(2 * stage, 2 * stage + 1, service, 0, COMPUTE), (2 * stage + 1, 2 * stage, 0.0, 1, COMPUTE)]
    for stage in range(len(services) - 1):
        arcs += [(2 * stage + 1, 2 * stage + 2, hop, 0, MOVE), (2 * stage + 3, 2 * stage, 0.0, depth, CREDIT)]
    return event_graph([f"{stage}.{at}" for stage in range(len(services)) for at in ("start", "end")], arcs)


@st.composite
def graphs(draw: st.DrawFn, delays: st.SearchStrategy[float]) -> EventGraph:
    """Any live graph: arcs without tokens go upwards in event number."""
    events = draw(st.integers(1, 9))
    arc = st.tuples(
        st.integers(0, events - 1), st.integers(0, events - 1), delays, st.integers(0, 4), st.integers(0, 3)
    )
    arcs = [one for one in draw(st.lists(arc, max_size=24)) if one[3] or one[0] < one[1]]
    return event_graph([f"e{event}" for event in range(events)], arcs)


WHOLE = st.integers(0, 40).map(float)
ANY = st.floats(0.0, 1e3)


def fired_by_definition(graph: EventGraph, firings: int) -> list[list[float]]:
    rows: list[list[float]] = []
    for firing in range(firings):
        rows.append([0.0] * len(graph.names))
        for event in range(len(graph.names)):  # arcs without tokens go upwards in event number
            for source, target, delay, tokens in zip(
                graph.source, graph.target, graph.delay, graph.tokens, strict=True
            ):
                if target == event and tokens <= firing:
                    rows[firing][event] = max(rows[firing][event], rows[firing - tokens][source] + delay)
    return rows


def test_first_firing_of_a_chain_is_the_sum_of_its_delays_and_the_path_says_of_which() -> None:
    graph = pipeline([5.0, 7.0], hop=2.0, depth=2)
    first = first_firing(graph)
    assert first.times == (0.0, 5.0, 7.0, 14.0)
    path = critical_path(graph, first, 3)
    assert [(graph.label[arc], graph.delay[arc]) for arc in path] == [(COMPUTE, 5.0), (MOVE, 2.0), (COMPUTE, 7.0)]


def test_buffers_that_wait_for_each_other_are_named_in_order() -> None:
    graph = event_graph(
        ["load", "gemm", "norm", "add"], [(0, 1, 1, 0, 0), (1, 2, 1, 0, 0), (2, 3, 1, 0, 0), (3, 1, 1, 0, 0)]
    )
    for find in (first_firing, cycle_mean, lambda g: fire(g, 3), lambda g: makespan(g, 3, 0)):
        with pytest.raises(DeadlockError, match=r"(gemm -> norm -> add|norm -> add -> gemm|add -> gemm -> norm)"):
            find(graph)


@pytest.mark.parametrize(("depth", "pace"), [(1, 14.0), (2, 7.0), (3, 7.0)])
def test_a_single_buffer_serialises_two_stages_and_a_double_buffer_does_not(depth: int, pace: float) -> None:
    graph = pipeline([5.0, 7.0], hop=2.0, depth=depth)
    assert cycle_mean(graph).mean == pytest.approx(pace)
    assert makespan(graph, 100, 3).cycles == pytest.approx(14.0 + 99 * pace)


def test_a_graph_without_circuits_fires_at_once_and_has_mean_zero() -> None:
    graph = event_graph(["a", "b"], [(0, 1, 3.0, 0, 0)])
    assert cycle_mean(graph).mean == 0.0 and cycle_mean(graph).arcs == ()
    assert makespan(graph, 1000, 1).cycles == 3.0
    assert cycle_mean(event_graph(["a"], [])).rates == (0.0,)


def test_a_slow_part_overtakes_a_fast_one_that_is_far_ahead_after_exactly_as_many_firings_as_it_takes() -> None:
    # a paces 1 and reaches c 1000 later, b paces 1.5 and reaches c at once: b leads from firing 2000 on.
    arcs = [(0, 0, 1.0, 1, 0), (1, 1, 1.5, 1, 1), (0, 2, 1000.0, 0, 2), (1, 2, 0.0, 0, 3)]
    graph = event_graph(["a", "b", "c"], arcs)
    for firings, cycles, spent in [
        (1000, 1999.0, {0: 999.0, 2: 1000.0}),
        (2000, 2999.0, {0: 1999.0, 2: 1000.0}),
        (2002, 3001.5, {1: 3001.5, 3: 0.0}),
        (10**9, 1.5 * (10**9 - 1), {1: 1.5 * (10**9 - 1), 3: 0.0}),
    ]:
        result = makespan(graph, firings, 2)
        assert (result.cycles, result.by_label) == (cycles, spent)
        assert result.fired < 200


def test_cost_does_not_grow_with_the_number_of_firings() -> None:
    graph = pipeline([3.0, 11.0, 4.0, 10.5, 6.0], hop=1.0, depth=2)
    fired = [makespan(graph, 10**power, 9).fired for power in (3, 6, 9)]
    assert max(fired) <= fired[0] + 10 and fired[0] < 100


def test_by_label_the_time_of_a_pipeline_is_its_fill_and_its_slowest_stage() -> None:
    result = makespan(pipeline([5.0, 20.0, 7.0], hop=2.0, depth=2), 1000, 5)
    assert result.by_label[COMPUTE] == pytest.approx(5.0 + 1000 * 20.0 + 7.0)
    assert result.by_label[MOVE] == pytest.approx(4.0)
    assert result.period == pytest.approx(20.0)


@given(graphs(ANY), st.integers(1, 12))
def test_firing_agrees_with_the_definition(graph: EventGraph, firings: int) -> None:
    assert np.allclose(fire(graph, firings), fired_by_definition(graph, firings), rtol=1e-12, atol=0.0)
    assert np.allclose(first_firing(graph).times, fire(graph, 1)[0], rtol=1e-12, atol=0.0)


@given(graphs(ANY))
def test_howard_finds_the_largest_mean_over_all_circuits(graph: EventGraph) -> None:
    result = cycle_mean(graph)
    assert result.mean == pytest.approx(_largest_mean(graph), rel=1e-9, abs=1e-9)
    if result.arcs:
        assert all(graph.target[one] == graph.source[two] for one, two in pairwise([*result.arcs, result.arcs[0]]))
        tokens = sum(graph.tokens[arc] for arc in result.arcs)
        assert sum(graph.delay[arc] for arc in result.arcs) / tokens == pytest.approx(result.mean)


@given(graphs(WHOLE))
def test_every_event_fires_at_the_rate_that_howard_gives_it(graph: EventGraph) -> None:
    rates = cycle_mean(graph).rates
    for event in range(len(graph.names)):
        assert makespan(graph, 10**7, event).cycles / 10**7 == pytest.approx(rates[event], abs=1e-3)


@settings(max_examples=200)
@given(graphs(WHOLE), st.integers(1, 400), st.data())
def test_makespan_is_firing_to_the_end_to_the_last_bit(graph: EventGraph, firings: int, data: st.DataObject) -> None:
    event = data.draw(st.integers(0, len(graph.names) - 1))
    result = makespan(graph, firings, event)
    rows = fire(graph, firings)
    assert result.last == tuple(rows[-1]) and result.first == tuple(rows[0]) and result.cycles == rows[-1, event]
    assert sum(result.by_label.values()) == result.cycles


@settings(max_examples=200)
@given(
    st.lists(st.floats(1.0, 100.0), min_size=1, max_size=12),
    st.floats(0.0, 10.0),
    st.integers(1, 4),
    st.integers(1, 2000),
)
def test_makespan_of_a_pipeline_is_firing_to_the_end(
    services: list[float], hop: float, depth: int, firings: int
) -> None:
    graph = pipeline(services, hop, depth)
    result = makespan(graph, firings, len(graph.names) - 1)
    assert result.cycles == pytest.approx(fire(graph, firings)[-1, -1], rel=1e-9)
    assert sum(result.by_label.values()) == pytest.approx(result.cycles, rel=1e-9)


@given(st.lists(st.floats(1.0, 100.0), min_size=2, max_size=8), st.integers(1, 4), st.integers(1, 200))
def test_deeper_buffers_never_make_a_pipeline_slower(services: list[float], depth: int, firings: int) -> None:
    end = 2 * len(services) - 1
    shallow = makespan(pipeline(services, 1.0, depth), firings, end).cycles
    assert makespan(pipeline(services, 1.0, depth + 1), firings, end).cycles <= shallow * (1 + 1e-9)


def _largest_mean(graph: EventGraph) -> float:
    """Every circuit by name; of parallel arcs, every choice."""
    edges: dict[tuple[int, int], list[tuple[float, int]]] = {}
    for source, target, delay, tokens in zip(graph.source, graph.target, graph.delay, graph.tokens, strict=True):
        edges.setdefault((source, target), []).append((delay, tokens))
    best = 0.0
    for circuit in nx.simple_cycles(nx.DiGraph(list(edges))):
        sums = {(0.0, 0)}
        for step in pairwise([*circuit, circuit[0]]):
            sums = {(d + delay, m + tokens) for d, m in sums for delay, tokens in edges[step]}
        best = max(best, *(delay / tokens for delay, tokens in sums))
    return best
