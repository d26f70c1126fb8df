"""Routing by negotiated congestion (PathFinder: McMurchie, Ebeling, FPGA 1995), in deterministic batches.

Whoever uses a link beyond its capacity is ripped up and takes the cheapest of all its ways (see `ways`) anew. A link
costs more the fuller it is now (present congestion, dearer from round to round) and the more often it was too full
before (history), so nets with a good alternative give way. It ends as soon as no link is too full: most sections never
begin.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from rdusim.mapping.costs import costs
from rdusim.mapping.demand import Demand
from rdusim.mapping.mesh import Floats, Ints, Mesh
from rdusim.mapping.ways import Axis, mesh_links

ROUNDS: Final = 16
PATIENCE: Final = 4  # rounds without progress, after which there is no more hope
BATCHES: Final = 8  # of one flow's nets: those of a batch do not see each other
PRESENT: Final = 4.0  # cost of a link filled twice over, in the first round, against that of an empty one
GROWTH: Final = 1.6  # of it, from round to round
DITHER: Final = 1e-5
BALANCE: Final = 0.5  # cost of a link that is just full: of two free ways the emptier one


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Limits:
    """Bytes that a link can carry in one execution: of all flows together, and of each flow in its own time alone."""

    all_flows: float
    of_flow: Floats


def fullest(total: Floats, own: Floats, limits: Limits) -> float:
    """The most loaded link against its limit. `total`: bytes by link; `own`: the most of each flow on a link."""
    alone = float((own / limits.of_flow).max(initial=0.0))
    return max(float(total.max(initial=0.0)) / limits.all_flows, alone)


def negotiate(nets: Demand, trunks: Ints, axes: tuple[Axis, Axis], weight: Floats, limits: Limits, mesh: Mesh) -> Ints:
    """Trunks under which no link is too full, or the best that were found. `weight`: by net, bytes of one execution."""
    state = _State(nets, trunks.copy(), axes, weight, limits, mesh)
    best, least, last = trunks, state.fullest(), 0
    for number in range(ROUNDS):
        if least <= 1.0 or number - last > PATIENCE:
            break
        state.round(PRESENT * GROWTH**number)
        if (now := state.fullest()) < least * (1.0 - 1e-9):
            best, least, last = state.trunks.copy(), now, number
    return best


class _State:
    """Trunks as they are now, `loads` (flow x link) and their `total`, and how often which link was too full."""

    def __init__(
        self, nets: Demand, trunks: Ints, axes: tuple[Axis, Axis], weight: Floats, limits: Limits, mesh: Mesh
    ) -> None:
        self.nets, self.trunks, self.axes, self.weight, self.limits, self.mesh = (
            nets,
            trunks,
            axes,
            weight,
            limits,
            mesh,
        )
        flows = nets.scale.shape[0]
        self.begin = np.searchsorted(nets.flow, np.arange(flows + 1))
        self.history = np.zeros(mesh.mesh_links)
        link, net = mesh_links(np.arange(nets.flow.size), trunks, axes)
        key = nets.flow[net] * mesh.mesh_links + link
        self.loads: Floats = np.zeros((flows, mesh.mesh_links))
        self.loads += np.bincount(key, weight[net], self.loads.size).reshape(self.loads.shape)
        self.total: Floats = self.loads.sum(axis=0)

    def fullest(self) -> float:
        return fullest(self.total, self.loads.max(axis=1, initial=0.0), self.limits)

    def round(self, present: float) -> None:
        """Every flow with nets on a link that is too full routes those anew."""
        together = self.total / self.limits.all_flows
        for flow in range(self.loads.shape[0]):
            net = np.arange(self.begin[flow], self.begin[flow + 1])
            over = np.maximum(together, self.loads[flow] / self.limits.of_flow[flow]) > 1.0
            if over[self.loads[flow] > 0.0].any():
                link, owner = mesh_links(net, self.trunks, self.axes)
                victims = net[np.bincount(np.searchsorted(net, owner), over[link], net.size) > 0]
                for first in range(min(BATCHES, victims.size)):
                    self._reroute(flow, victims[first::BATCHES], present)
        alone = (self.loads / self.limits.of_flow[:, None]).max(axis=0)
        self.history += np.maximum(self.total / self.limits.all_flows, alone) > 1.0

    def _reroute(self, flow: int, net: Ints, present: float) -> None:
        """Nets of a flow take the cheapest ways that the rest leaves them."""
        self._use(flow, net, -1.0)
        mine = float(self.weight[net].mean())
        full = np.maximum(
            (self.total + mine) / self.limits.all_flows, (self.loads[flow] + mine) / self.limits.of_flow[flow]
        )
        price = (1.0 + BALANCE * full + self.history) * (1.0 + present * np.maximum(0.0, full - 1.0))
        found = costs(self.axes, net, price, self.mesh)
        # Nets that see the same prices shall not all take the same of two equal ways.
        trunk = np.arange(found.shape[1])
        found *= 1.0 + DITHER * ((net[:, None] * 7919 + trunk * 104729) % 97)
        self.trunks[net] = found.argmin(axis=1)
        self._use(flow, net, 1.0)

    def _use(self, flow: int, net: Ints, sign: float) -> None:
        link, owner = mesh_links(net, self.trunks, self.axes)
        added = sign * np.bincount(link, self.weight[owner], self.total.size)
        self.loads[flow] += added
        self.total += added
