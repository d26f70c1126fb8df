"""The event loop: hand-computed nets, both ways of running it, and who is stuck."""

from __future__ import annotations

import importlib.util
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rdusim.errors import DeadlockError
from rdusim.kernel.actors import Actor, ActorNet, Channel, Exclusive, Use
from rdusim.kernel.events import Firings, fire


def net_of(*actors: Actor, channels: list[Channel], shared: int = 0, exclusive: int = 0) -> ActorNet:
    return ActorNet(
        actors=list(actors),
        channels=channels,
        shared=[f"link {number}" for number in range(shared)],
        exclusive=[f"door {number}" for number in range(exclusive)],
    )


def ends(net: ActorNet, fired: Firings, actor: int) -> list[float]:
    first = int(fired.first[actor])
    return fired.end[first : first + net.actors[actor].firings].tolist()


def pair(depth: int, *, tiles: int = 4, make: float = 3.0, use: float = 5.0, delay: float = 2.0) -> ActorNet:
    """A producer and a slower consumer with a buffer of `depth` tiles in between."""
    return net_of(
        Actor(name="make", firings=tiles, service=make),
        Actor(name="use", firings=tiles, service=use),
        channels=[
            Channel(name="tiles", source=0, target=1, delay=delay),
            Channel(name="a place in tiles", source=1, target=0, initial=depth),
        ],
    )


def test_a_pipeline_ends_after_its_fill_and_the_slower_of_the_two() -> None:
    net = pair(2)
    fired = fire(net)
    assert ends(net, fired, 1) == [10.0, 15.0, 20.0, 25.0]  # 3 + 2 to fill, then 5 each


def test_a_producer_waits_for_a_place_until_the_tile_in_it_has_been_read() -> None:
    net = pair(1)
    fired = fire(net)
    assert ends(net, fired, 0) == [3.0, 13.0, 23.0, 33.0]  # the one place is free at 10, 20, 30
    place = int(fired.first[0]) + 1
    assert net.channels[int(fired.cause[place])].name == "a place in tiles"


def test_without_a_place_nothing_moves_and_the_message_says_who_waits_for_what() -> None:
    with pytest.raises(DeadlockError, match=r"make \(tile 0\) waits for a place in tiles; use .* waits for tiles|use"):
        fire(pair(0))


def test_a_circle_of_full_buffers_is_named() -> None:
    net = net_of(
        *(Actor(name=name, firings=3, service=1.0) for name in ("a", "b", "c")),
        channels=[
            Channel(name="a to b", source=0, target=1),
            Channel(name="b to c", source=1, target=2),
            Channel(name="c to a", source=2, target=0),
        ],
    )
    with pytest.raises(DeadlockError) as caught:
        fire(net)
    assert all(name in str(caught.value) for name in ("a to b", "b to c", "c to a"))


def test_a_shared_link_serves_in_order_of_arrival_and_only_what_is_late_shows() -> None:
    net = net_of(
        Actor(name="first", firings=1, service=4.0, shared=(Use(resource=0, cycles=3.0),)),
        Actor(name="second", firings=1, service=4.0, shared=(Use(resource=0, cycles=3.0),)),
        channels=[],
        shared=1,
    )
    fired = fire(net)
    assert fired.end.tolist() == [4.0, 6.0]
    assert fired.slowed.tolist() == [-1, 1]


def test_a_bus_that_turns_costs_the_writes_behind_a_read_what_the_read_allows() -> None:
    net = net_of(
        Actor(name="read", firings=1, service=0.0, shared=(Use(resource=0, cycles=3.0, turn=3.0),)),
        Actor(name="write", firings=2, service=0.0, shared=(Use(resource=0, cycles=3.0, side=1, turn=2.0),)),
        channels=[Channel(name="", source=0, target=1, give=2)],
        shared=1,
    )
    fired = fire(net)
    assert ends(net, fired, 1) == [8.0, 12.0]


def test_of_those_that_wait_for_a_door_the_most_urgent_is_next() -> None:
    def through(name: str, rank: int) -> Actor:
        return Actor(name=name, firings=2, service=1.0, exclusive=Exclusive(resource=0, cycles=1.0, rank=rank))

    net = net_of(through("late", 2), through("early", 1), channels=[], exclusive=1)
    fired = fire(net)
    assert ends(net, fired, 0) == [1.0, 4.0]  # it came first, and then lets the other pass
    assert ends(net, fired, 1) == [2.0, 3.0]


def test_a_reader_of_large_tiles_waits_for_all_the_small_ones() -> None:
    net = net_of(
        Actor(name="small", firings=6, service=2.0),
        Actor(name="large", firings=2, service=1.0),
        channels=[Channel(name="parts", source=0, target=1, need=3)],
    )
    fired = fire(net)
    assert ends(net, fired, 1) == [7.0, 13.0]


def test_what_is_given_at_the_start_of_a_block_comes_with_its_first_firing() -> None:
    net = net_of(
        Actor(name="work", firings=4, service=10.0),
        Actor(name="load", firings=2, service=1.0),
        channels=[Channel(name="space", source=0, target=1, give=1, give_block=2, at_start=True)],
    )
    fired = fire(net)
    assert ends(net, fired, 1) == [1.0, 21.0]


@st.composite
def pipelines(draw: st.DrawFn) -> ActorNet:
    """A line of actors with credits, links that some share, and doors that some need."""
    tiles, length = draw(st.integers(1, 12)), draw(st.integers(1, 6))
    times = st.sampled_from([0.0, 0.1, 1.0, 2.5, 7.0])
    actors = [
        Actor(
            name=f"s{number}",
            firings=tiles,
            service=draw(times),
            shared=(Use(resource=draw(st.integers(0, 1)), cycles=draw(times), side=number % 2, turn=0.3),),
            exclusive=Exclusive(resource=0, cycles=7.0, share=1.0, rank=draw(st.integers(0, 2)))
            if draw(st.booleans())
            else None,
        )
        for number in range(length)
    ]
    channels = []
    for number in range(1, length):
        channels.append(Channel(name=f"c{number}", source=number - 1, target=number, delay=draw(times)))
        channels.append(Channel(name=f"k{number}", source=number, target=number - 1, initial=draw(st.integers(1, 3))))
    return net_of(*actors, channels=channels, shared=2, exclusive=1)


@settings(max_examples=40)
@given(net=pipelines())
def test_every_actor_fires_in_order_and_no_resource_is_used_twice_at_once(net: ActorNet) -> None:
    fired = fire(net)
    for number, actor in enumerate(net.actors):
        mine = slice(int(fired.first[number]), int(fired.first[number]) + actor.firings)
        assert np.all(fired.start[mine][1:] >= fired.end[mine][:-1])
        assert np.all(fired.end[mine] - fired.start[mine] >= actor.service * (1 - 1e-12))
    held = [
        (float(begin), float(begin) + 7.0)
        for number, actor in enumerate(net.actors)
        if actor.exclusive is not None
        for begin in fired.start[int(fired.first[number]) :][: actor.firings]
    ]
    held.sort()
    assert all(after[0] >= before[1] for before, after in pairwise(held))
    for resource in range(2):
        used = sum(
            use.cycles * actor.firings for actor in net.actors for use in actor.shared if use.resource == resource
        )
        assert float(fired.end.max(initial=0.0)) >= used * (1 - 1e-12)


@pytest.mark.skipif(importlib.util.find_spec("numba") is None, reason="numba is an extra (fast)")
@settings(max_examples=25, deadline=None)
@given(net=pipelines())
def test_compiled_and_interpreted_give_the_same_to_the_last_bit(net: ActorNet) -> None:
    one, other = fire(net, compiled=False), fire(net, compiled=True)
    assert one.events == other.events
    for name in ("start", "end", "ready", "cause", "slowed"):
        assert np.array_equal(getattr(one, name), getattr(other, name)), name
