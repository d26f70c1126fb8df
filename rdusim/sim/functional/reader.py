"""What a stage sees of a tensor at one firing: its own results, its buffers, or one of these through folded layouts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from rdusim.graph.ops import SPECS
from rdusim.graph.types import Access, Compute, Operator
from rdusim.sim.functional.buffer import Buffer
from rdusim.sim.functional.faults import ProgramFault
from rdusim.sim.functional.meaning import Meaning, Ranges
from rdusim.sim.functional.memory import Memory
from rdusim.sim.functional.storage import Array, Box


class Reader:
    """One stage at one firing on socket `rank`. `buffers`, `gathered`: by tensor, what reaches the stage."""

    def __init__(
        self,
        meaning: Meaning,
        buffers: Mapping[str, Sequence[Buffer]],
        gathered: Mapping[str, int],
        memories: Sequence[Memory],
        firing: int,
        rank: int,
    ) -> None:
        self._meaning, self._buffers, self._gathered = meaning, buffers, gathered
        self._memory, self._firing, self._rank = memories[rank], firing, rank
        self._made: dict[str, tuple[Array, Box]] = {}

    def keep(self, tensor: str, array: Array, box: Box) -> None:
        """A result of the stage itself, for operators behind it."""
        self._made[tensor] = array, box

    def run(self, operator: Operator, ranges: Ranges) -> tuple[Array, ...]:
        """The results of an operator for these parts of its labels."""
        return self._meaning.run(operator, self.operands(operator, ranges), ranges, self._rank)

    def operands(self, operator: Operator, ranges: Ranges) -> list[Array]:
        """Its operands. A causal operator reads only what has come already: zeros stand for the rest."""
        missing = 0.0 if operator.attributes.get("causal") else np.nan
        return [
            self._tensor(operand.tensor, self._meaning.box(operator, at, ranges, self._rank), missing, operand.access)
            for at, operand in enumerate(operator.inputs)
        ]

    def _tensor(self, tensor: str, box: Box, missing: float, access: Access) -> Array:
        if tensor in self._made:
            array, origin = self._made[tensor]
            return array[
                tuple(
                    slice(side.start - base.start, side.stop - base.start)
                    for side, base in zip(box, origin, strict=True)
                )
            ]
        for buffer in self._buffers.get(tensor, ()):
            if buffer.covers(self._firing, box):
                return buffer.get(self._rank, self._firing, box, missing)
        if tensor in self._gathered and access is Access.GATHERED:
            return self._memory.read(tensor, self._gathered[tensor], box)
        maker = self._meaning.graph.producer.get(tensor)
        layout = None if maker is None else self._meaning.graph.by_name[maker]
        if layout is None or SPECS[layout.kind].compute is not Compute.MOVE:
            part = ", ".join(f"{side.start}:{side.stop}" for side in box)
            raise ProgramFault(f"{tensor}[{part}] is read, but no stream or load brings it")
        return self._folded(layout, tensor, box, missing)

    def _folded(self, layout: Operator, tensor: str, box: Box, missing: float) -> Array:
        """A layout carried out on the way: the part asked for, whole along axes that change."""
        at, out = next((at, out) for at, out in enumerate(layout.outputs) if out.tensor == tensor)
        whole = SPECS[layout.kind].whole(layout)
        ranges = {label: (0, extent) for label, extent in layout.dims.items()}
        ranges |= {
            label: (side.start, side.stop) for label, side in zip(out.dims, box, strict=True) if label not in whole
        }
        operands = [
            self._tensor(operand.tensor, self._meaning.box(layout, place, ranges, self._rank), missing, operand.access)
            for place, operand in enumerate(layout.inputs)
        ]
        result = self._meaning.run(layout, operands, ranges, self._rank)[at]
        rest = tuple(side if label in whole else slice(None) for label, side in zip(out.dims, box, strict=True))
        return result[rest]
