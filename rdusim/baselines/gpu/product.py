"""Matrix products on tensor cores: tiles, waves over the SMs, and what the SMs can request from memory meanwhile.

docs/model.md, "GPU baselines". The tile and the split of the contraction are searched, as libraries do.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import Final

from rdusim.baselines.gpu.kernels import Product
from rdusim.baselines.gpu.types import Gpu, Software
from rdusim.dtypes import size_of
from rdusim.errors import OptionError
from rdusim.units import Seconds

# Tiles of an SM: an instruction makes 8 x 16 results, 256 x 128 fp32 accumulators fill half of an SM's registers.
_TILES: Final = tuple((m, n) for m in (8, 16, 32, 64, 128, 256) for n in (32, 64, 128, 256) if m * n <= 256 * 128)
_ROWS: Final = 8  # of an instruction
_SPLITS: Final = (1, 2, 4, 8, 16)
_ATTENTION_ROWS: Final = 128  # queries of a block of FlashAttention
_PARTIAL_BYTES: Final = 4  # an fp32 sum of a part of the contraction


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """What a kernel needs of the SMs' arithmetic and of HBM, each alone."""

    compute: Seconds
    memory: Seconds

    def seconds(self, overlap: float) -> Seconds:
        """Both together: the longer, and of the shorter what is not hidden behind it."""
        return Seconds(max(self.compute, self.memory) + (1.0 - overlap) * min(self.compute, self.memory))


def memory_seconds(size: float, blocks: float, gpu: Gpu) -> Seconds:
    """Time to move `size` bytes by `blocks` thread blocks: few SMs cannot ask for all that HBM could give.

    size / min(streaming x bandwidth, min(blocks, SMs) x bytes in flight / latency): Little's law.
    """
    asked = min(blocks, gpu.sms) * gpu.bytes_in_flight / gpu.memory.latency
    return Seconds(size / min(gpu.memory.streaming * gpu.memory.bandwidth, asked)) if size else Seconds(0.0)


def product_bound(product: Product, size: int, gpu: Gpu, software: Software) -> Bound:
    """The best tile and split of a product whose kernel moves `size` bytes over HBM.

    Operands reach the SMs through L2, as many bytes as the tiles read, in the same stream as those of HBM.
    """
    macs, element = tensor_macs(product, gpu), size_of(product.dtype)

    def bound(rows: int, columns: int, split: int) -> Bound:
        blocks = product.batch * ceil(product.m / rows) * ceil(product.n / columns) * split
        # Whole waves of blocks; a split contraction is added up through memory.
        steps = ceil(blocks / gpu.sms) * ceil(product.k / split)
        partial = (split > 1) * 2 * split * product.batch * product.m * product.n * _PARTIAL_BYTES
        feed = steps * (rows + columns) * element / gpu.l2_bytes_per_cycle
        return Bound(
            compute=Seconds(steps * rows * columns / macs / software.tensor_share / gpu.clock),
            memory=max(Seconds(feed / gpu.clock), memory_seconds(size + partial, blocks, gpu)),
        )

    found = (bound(rows, columns, split) for rows, columns in _TILES for split in _SPLITS)
    return min(found, key=lambda each: each.seconds(software.overlap))


def attention_bound(products: tuple[Product, ...], size: int, gpu: Gpu, software: Software) -> Bound:
    """Fused attention: a block for every head and 128 queries, all blocks in waves.

    The keys of a head are split over more blocks while SMs are left, as far as each keeps `attention_keys` of them
    (FlashDecoding).
    """
    first = products[0]
    blocks = first.batch * ceil(first.m / _ATTENTION_ROWS)
    most = max(1, first.n // software.attention_keys)
    blocks *= min(most, max(1, gpu.sms // blocks))
    flops = sum(product.flops for product in products)
    rows = min(first.m, _ATTENTION_ROWS)
    wasted = ceil(rows / _ROWS) * _ROWS / rows
    peak = 2.0 * gpu.sms * tensor_macs(first, gpu) * gpu.clock * software.attention_share
    idle = ceil(blocks / gpu.sms) * gpu.sms / blocks
    return Bound(compute=Seconds(flops * wasted * idle / peak), memory=memory_seconds(size, blocks, gpu))


def tensor_macs(product: Product, gpu: Gpu) -> int:
    """Multiply-adds of an SM's tensor cores in a cycle. Raises OptionError for a format that it does not have."""
    if product.dtype not in gpu.tensor_macs_per_cycle:
        known = ", ".join(gpu.tensor_macs_per_cycle)
        raise OptionError(f"this GPU has no tensor cores for {product.dtype}: choose one of {known}")
    return gpu.tensor_macs_per_cycle[product.dtype]
