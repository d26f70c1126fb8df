from __future__ import annotations

import pytest

from rdusim.baselines.gpu.kernels import Kernel, kernels_of
from rdusim.baselines.gpu.types import Fusion
from rdusim.graph.load import load_graph
from rdusim.graph.ops import macs
from rdusim.graph.types import OperatorGraph, Phase, RunShape
from rdusim.program.shard import shard

MODELS = ("llama-2-7b", "mistral-7b", "falcon-40b", "bloom-176b", "gpt2")


def graph_of(model: str, phase: Phase, context: int = 512, ways: int = 1) -> OperatorGraph:
    query = 1 if phase is Phase.DECODE else context
    shape = RunShape(phase=phase, batch=2, query_tokens=query, context_tokens=context)
    return shard(load_graph(model, shape), ways)


def layer(graph: OperatorGraph, fusion: Fusion = Fusion.FUSED) -> list[Kernel]:
    return [kernel for kernel in kernels_of(graph, fusion) if kernel.block == "decoder"]


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("phase", [Phase.PREFILL, Phase.DECODE])
def test_every_operator_that_is_no_layout_is_in_one_kernel_and_no_product_is_lost(model: str, phase: Phase) -> None:
    graph = graph_of(model, phase)
    for fusion in Fusion:
        kernels = kernels_of(graph, fusion)
        names = [name for kernel in kernels for name in kernel.operators]
        assert len(names) == len(set(names))
        of_products = {operator.name for operator in graph.operators if macs(operator)}
        assert of_products <= set(names)
        visible = sum(product.flops / product.visible for kernel in kernels for product in kernel.products)
        assert visible == pytest.approx(2 * sum(macs(operator) for operator in graph.operators))


@pytest.mark.parametrize("model", MODELS)
def test_fusing_never_moves_more_bytes_nor_launches_more(model: str) -> None:
    for phase in (Phase.PREFILL, Phase.DECODE):
        graph = graph_of(model, phase)
        eager, fused = (kernels_of(graph, fusion) for fusion in (Fusion.EAGER, Fusion.FUSED))
        assert sum(kernel.size for kernel in fused) < sum(kernel.size for kernel in eager)
        assert len(fused) < len(eager) / 2


def test_a_decoder_layer_is_what_inference_engines_launch() -> None:
    norm, qkv, rotary, attention, output, norm2, gate_up, down = layer(graph_of("llama-2-7b", Phase.PREFILL))
    assert (qkv.products[0].n, gate_up.products[0].n) == (3 * 4096, 2 * 11008)
    assert "decoder/attention.residual" in output.operators
    assert "decoder/mlp.mul" in gate_up.operators
    assert "decoder/mlp.residual" in down.operators
    assert not norm.products and not rotary.products and not norm2.products
    assert attention.attention and len(attention.products) == 2


def test_scores_never_reach_memory_when_attention_is_fused() -> None:
    tokens, hidden, batch = 2048, 4096, 2
    kernels = layer(graph_of("llama-2-7b", Phase.PREFILL, tokens))
    attention = next(kernel for kernel in kernels if kernel.attention)
    one = 2 * batch * tokens * hidden  # bytes of queries, of keys, of values, of the result
    assert (attention.read, attention.written) == (3 * one, one)
    assert attention.products[0].visible == pytest.approx(0.5, abs=0.001)


def test_a_decode_reads_the_cache_once_and_appends_to_it() -> None:
    kernels = layer(graph_of("llama-3-8b", Phase.DECODE, 513))
    cache = 2 * 2 * 513 * 8 * 128 * 2  # keys and values of 8 heads, for 2 sequences
    attention = next(kernel for kernel in kernels if kernel.attention)
    assert attention.read == pytest.approx(cache, rel=0.01)  # queries beside it
    appended = sum(kernel.written for kernel in layer(graph_of("llama-3-8b", Phase.DECODE, 513), Fusion.EAGER))
    assert appended < 2 * cache * 4 + 2e6  # copies for each query head, but no second cache


def test_sharding_brings_the_same_collectives_as_on_sockets() -> None:
    for fusion in Fusion:
        exchanges = [kernel.exchange for kernel in layer(graph_of("llama-2-7b", Phase.PREFILL, 64, ways=8), fusion)]
        sizes = [(each.kind, each.participants, each.size) for each in exchanges if each is not None]
        assert sizes == [("all_reduce", 8, 2 * 64 * 4096 * 2)] * 2
