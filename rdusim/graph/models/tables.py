"""Values of the constants that models read (rotary frequencies, ALiBi, causal masks): to evaluate, not to time."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rdusim.graph.models.parts import HIDDEN, Keys

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]


def inverse_frequencies(head: int, theta: float, scaling: Mapping[str, object]) -> Array:
    """theta^(-2i/head), i < head/2, with linear or llama3 scaling (transformers' modeling_rope_utils)."""
    import numpy as np

    plain: Array = theta ** (-np.arange(0, head, 2) / head)
    kind = scaling.get("rope_type", scaling.get("type", "default"))
    factor = _number(scaling, "factor", 1.0)
    if kind == "linear":
        plain = plain / factor
    elif kind == "llama3":
        low, high = _number(scaling, "low_freq_factor", 1.0), _number(scaling, "high_freq_factor", 4.0)
        turns = _number(scaling, "original_max_position_embeddings", 8192) * plain / (2 * math.pi)
        smooth = np.clip((turns - low) / (high - low), 0.0, 1.0)
        plain = (1 - smooth) * plain / factor + smooth * plain
    return plain.astype(np.float32)


def _number(table: Mapping[str, object], key: str, default: float) -> float:
    value = table.get(key, default)
    return float(value) if isinstance(value, int | float) else default


def alibi_slopes(heads: int) -> Array:
    """Geometric slopes; for a number of heads that is no power of two, the odd ones of the next (Press et al. 2022)."""
    import numpy as np

    power = 2 ** math.floor(math.log2(heads))
    slopes = [2.0 ** (-8.0 * (index + 1) / power) for index in range(power)]
    slopes += [2.0 ** (-4.0 * (2 * index + 1) / power) for index in range(heads - power)]
    return np.asarray(slopes, dtype=np.float32)


def alibi(heads: int, keys: Keys) -> Array:
    """Slope times key position, [heads, keys]."""
    import numpy as np

    return alibi_slopes(heads)[:, None] * np.arange(keys.total, dtype=np.float32)[None, :]


def visible(queries: int, keys: Keys) -> Array:
    """Whether query i may see column j of its keys, with the spare last column that transformers' mask has."""
    import numpy as np

    query = np.arange(queries)[:, None] + (keys.total - queries)
    column = np.arange(keys.band + 1)[None, :]
    position = column if keys.band == keys.total else query - (keys.band - 1) + column
    seen = (position <= query) & (position >= 0)
    if keys.window is not None:
        seen &= position > query - keys.window
    return seen


def additive_mask(queries: int, keys: Keys) -> Array:
    """0 where visible, the lowest number elsewhere."""
    import numpy as np

    return np.where(visible(queries, keys), np.float32(0), np.float32(HIDDEN))
