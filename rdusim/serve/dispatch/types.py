"""What a dispatcher sees and says."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from rdusim.serve.types import Requests


class Load(Protocol):
    """A node as seen from outside."""

    def outstanding(self, time: float) -> int:
        """Requests that were sent to it and are not over at `time`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dispatcher:
    """Either `assign`: the node of every request, from the requests alone; or `choose`: by load when it arrives.

    `by_client`: what `assign` says follows from the client alone, where there are several.
    """

    assign: Callable[[Requests, int, int], NDArray[np.int64]] | None = None
    choose: Callable[[float, Sequence[Load]], int] | None = None
    by_client: bool = False
