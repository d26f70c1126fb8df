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
    """theta^(-2i/head), i < head/2, with linear, llama3 or yarn scaling (transformers' modeling_rope_utils)."""
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
    elif kind == "yarn":
        plain = _yarn(plain, head, theta, scaling)
    return plain.astype(np.float32)


def _yarn(plain: Array, head: int, theta: float, scaling: Mapping[str, object]) -> Array:
    """Slow turns are stretched, fast ones stay, with a ramp between them (YaRN, arXiv 2309.00071, section 3.2)."""
    import numpy as np

    learned = _number(scaling, "original_max_position_embeddings", 4096)

    def pair(turns: float) -> float:
        """The pair of elements that turns this often over the learned positions."""
        return head * math.log(learned / (turns * 2 * math.pi)) / (2 * math.log(theta))

    low, high = pair(_number(scaling, "beta_fast", 32.0)), pair(_number(scaling, "beta_slow", 1.0))
    if scaling.get("truncate", True):
        low, high = math.floor(low), math.ceil(high)
    low, high = max(low, 0), min(high, head - 1)
    ramp = np.clip((np.arange(head // 2) - low) / max(high - low, 0.001), 0.0, 1.0)
    stretched: Array = plain / _number(scaling, "factor", 1.0)
    result: Array = stretched * ramp + plain * (1.0 - ramp)
    return result


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
