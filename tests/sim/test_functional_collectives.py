"""Every kind of collective, carried out on numbers by the plan that the engines time, on several machines."""

from __future__ import annotations

import numpy as np
import pytest

from rdusim.arch.load import load_arch
from rdusim.graph.types import Operand, Operator, Scalar
from rdusim.net.types import TransferPlan
from rdusim.program.types import CollectiveWork
from rdusim.sim.functional.collective import carry_out, plan_of
from rdusim.units import Bytes

WAYS = [2, 3, 4, 6, 8]
MACHINES = [
    ("toy", ()),
    ("toy", ("system.topology=ring",)),
    ("toy", ("system.topology=torus",)),
    ("sn50", ("system.topology.node=2",)),
]


def results(kind: str, ways: int, tiles: list[np.ndarray], **attributes: Scalar) -> list[list[np.ndarray]]:
    """By machine and size (small messages go another way than large ones), what each rank is left with."""
    labels = ("a", "b")
    shape = tiles[0].shape
    operator = Operator(
        name="op",
        kind=kind,
        dims=dict(zip(labels, shape, strict=True)),
        inputs=(Operand(tensor="x", dims=labels),),
        outputs=(Operand(tensor="y", dims=labels),),
        attributes={"participants": ways, "reduction": "sum", **attributes},
    )
    found = []
    for machine, overrides in MACHINES:
        arch = load_arch(machine, [f"system.sockets={ways * 2}", *overrides])
        for size in (64, 1 << 28):
            plan = plan_of(CollectiveWork(kind=kind, participants=ways, size=Bytes(size), stride=2), arch)
            assert plan.transfers
            found.append([array for (array,) in carry_out(operator, plan, [(tile,) for tile in tiles])])
    return found


def tiles_of(ways: int) -> list[np.ndarray]:
    return [np.arange(ways * 10.0).reshape(ways, 10) + 100 * rank for rank in range(ways)]


@pytest.mark.parametrize("ways", WAYS)
def test_everyone_gets_what_the_collective_owes_him(ways: int) -> None:
    tiles = tiles_of(ways)
    total = sum(tiles)
    for made in results("all_reduce", ways, tiles):
        assert all(np.array_equal(mine, total) for mine in made)
    for made in results("reduce_scatter", ways, tiles, scattered=("a",)):
        assert all(np.array_equal(mine, total[rank : rank + 1]) for rank, mine in enumerate(made))
    for made in results("all_to_all", ways, tiles, scattered=("a",), gathered=("b",)):
        for rank, mine in enumerate(made):
            assert np.array_equal(mine, np.concatenate([tile[rank : rank + 1] for tile in tiles], axis=1))
    for made in results("send_receive", ways, tiles):
        assert all(np.array_equal(mine, tiles[rank - 1]) for rank, mine in enumerate(made))
    for root in (0, ways - 1):
        for made in results("broadcast", ways, tiles, root=root):
            assert all(np.array_equal(mine, tiles[root]) for mine in made)


def test_nothing_sent_leaves_everyone_with_what_he_had() -> None:
    operator = Operator(name="op", kind="broadcast", dims={}, inputs=(), outputs=(), attributes={"reduction": "sum"})
    tiles = [(tile,) for tile in tiles_of(2)]
    made = carry_out(operator, TransferPlan(transfers=()), tiles)
    assert all(np.array_equal(mine[0], tile[0]) for mine, tile in zip(made, tiles, strict=True))
