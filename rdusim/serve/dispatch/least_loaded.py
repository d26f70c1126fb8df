"""The node with the fewest requests outstanding when one arrives; of equals the first."""

from __future__ import annotations

from collections.abc import Sequence

from rdusim.serve.dispatch.types import Dispatcher, Load


def _choose(time: float, nodes: Sequence[Load]) -> int:
    return min(range(len(nodes)), key=lambda index: nodes[index].outstanding(time))


DISPATCHER = Dispatcher(choose=_choose)
