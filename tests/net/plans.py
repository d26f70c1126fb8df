"""Plans carried out on multisets of contributions, and settings to try them in."""

from __future__ import annotations

from collections import Counter

from hypothesis import strategies as st

from rdusim.arch.types import Edge, Layout, Link
from rdusim.net.topology import build
from rdusim.net.types import Topology, TransferPlan
from rdusim.units import BytesPerSecond, Seconds

LINK = Link(bandwidth=BytesPerSecond(100e9), latency=Seconds(1e-6))
SLOW = Link(bandwidth=BytesPerSecond(25e9), latency=Seconds(3e-6))
LAYOUTS = {
    "full_mesh": Layout(kind="full_mesh"),
    "ring": Layout(kind="ring"),
    "torus": Layout(kind="torus"),
    "torus of 3": Layout(kind="torus", dims="2x2x3"),
    "switch": Layout(kind="switch"),
    "two_level": Layout(kind="two_level", node=4, outer_link=SLOW),
    "switches": Layout(kind="two_level", node=3, inner="switch", outer="switch", outer_link=SLOW, outer_ports=2),
    "custom": Layout(
        kind="custom",
        links=(
            *(Edge(name=f"{at}-{at + 1}", bandwidth=BytesPerSecond(50e9)) for at in range(11)),
            Edge(name="0-5", latency=Seconds(0.0)),
        ),
    ),
}


def topology(name: str, sockets: int = 12) -> Topology:
    return build(LAYOUTS[name], sockets, LINK)


@st.composite
def settings(draw: st.DrawFn) -> tuple[tuple[int, ...], Topology]:
    """Some of 12 sockets, in any order."""
    sockets = draw(st.permutations(range(12)))
    return tuple(sockets[: draw(st.integers(2, 12))]), topology(draw(st.sampled_from(list(LAYOUTS))))


def start(kind: str, members: int, rank: int, shard: int) -> Counter[int]:
    """Whose contributions a rank has of a shard before it begins; -1: of nobody, to be overwritten."""
    owns = {
        "all_reduce": True,
        "reduce_scatter": True,
        "all_gather": shard == rank,
        "all_to_all": shard // members == rank,
        "broadcast": rank == 0,
        "send_receive": shard == rank,
    }[kind]
    return Counter([rank] if owns else [-1])


def owed(kind: str, members: int, rank: int, parts: int) -> dict[int, Counter[int]]:
    """What a rank must have at the end, by shard."""
    everyone = Counter(range(members))
    return {
        "all_reduce": dict.fromkeys(range(parts), everyone),
        "reduce_scatter": {rank: everyone},
        "all_gather": {shard: Counter([shard]) for shard in range(members)},
        "all_to_all": {source * members + rank: Counter([source]) for source in range(members)},
        "broadcast": {shard: Counter([0]) for shard in range(parts)},
        "send_receive": {(rank - 1) % members: Counter([(rank - 1) % members])},
    }[kind]


def delivered(kind: str, plan: TransferPlan, members: int) -> dict[tuple[int, int], Counter[int]]:
    """By (rank, shard), whose contributions it has at the end and how often; carried data is what `after` says."""
    carried: list[dict[int, Counter[int]]] = []
    came: dict[tuple[int, int], list[int]] = {}

    def holds(rank: int, shard: int, brought: set[int] | None = None) -> Counter[int]:
        data = start(kind, members, rank, shard)
        for index in came.get((rank, shard), ()):
            if brought is None or index in brought:
                data = data + carried[index][shard] if plan.transfers[index].reduces else carried[index][shard]
        return data

    for index, one in enumerate(plan.transfers):
        assert all(before < index for before in one.after)
        brought = set(one.after)
        carried.append({shard: holds(one.source, shard, brought) for shard in one.shards})
        for shard in one.shards:
            came.setdefault((one.target, shard), []).append(index)
    wanted = {(rank, shard) for rank in range(members) for shard in owed(kind, members, rank, plan.parts)}
    return {place: holds(*place) for place in wanted}
