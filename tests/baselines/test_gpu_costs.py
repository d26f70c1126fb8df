from __future__ import annotations

from math import isclose

import pytest

from rdusim.baselines.gpu.composition import composition
from rdusim.baselines.gpu.costs import GpuCosts
from rdusim.baselines.gpu.load import AS_THE_PAPER, load_gpu
from rdusim.baselines.gpu.timing import gpu_report
from rdusim.errors import LowerError, OptionError
from rdusim.graph.types import Phase, RunShape
from rdusim.serve.types import StepCosts
from rdusim.units import Bytes

EXPERT = Bytes(13_480_000_000)
H100 = load_gpu("h100", AS_THE_PAPER)
COSTS = GpuCosts(H100, {"seven": "llama-2-7b"})


def test_a_node_answers_what_serving_asks() -> None:
    costs: StepCosts = COSTS
    shape = RunShape(phase=Phase.DECODE, batch=2, query_tokens=1, context_tokens=101)
    report = gpu_report("llama-2-7b", shape, H100, gpus=8)
    assert costs.decode("seven", 2, 100) == report.total_seconds
    assert costs.decode_bytes("seven", 2, 100) == round(report.read_bytes + report.written_bytes)
    assert costs.decode("seven", 2, 100) < costs.decode("seven", 2, 100.5) < costs.decode("seven", 2, 101)
    assert costs.prefill("seven", 1, 512) < costs.prefill("seven", 4, 512) < costs.prefill("seven", 4, 2048)


def test_one_link_a_node_or_one_a_gpu() -> None:
    each = GpuCosts(load_gpu("h100", (*AS_THE_PAPER, "node.host_links=8")), {})
    assert COSTS.copy_bandwidth("host", "hbm") == 64e9
    assert each.copy_bandwidth("ddr", "hbm") == 8 * 64e9
    assert GpuCosts(each.machine, {}, gpus=2).copy_bandwidth("hbm", "host") == 2 * 64e9
    assert isclose(COSTS.switch(EXPERT, "host", "hbm"), 13.48e9 / 64e9 + 10e-6)
    assert COSTS.copy_bandwidth("hbm", "hbm") == COSTS.memory_bandwidth("hbm") / 2


def test_a_node_holds_what_the_paper_says() -> None:
    """47 experts of 13.48 GB fill the HBM of a DGX, 150 do not fit in its host memory (MICRO VI-C)."""
    assert COSTS.capacity("hbm") // EXPERT == 47
    assert COSTS.capacity("host") // EXPERT == 148
    assert isclose(COSTS.weight_bytes("seven"), EXPERT, rel_tol=1e-3)


def test_the_papers_dgx_is_one_gpu_that_copies_over_one_link() -> None:
    """T62-T65 in seconds. The paper prints no prompt length: 512 to 1024 tokens on one GPU come near."""
    estimates = {"a100": (0.2733, 0.7112), "h100": (0.1955, 0.4144)}
    for name, (near, far) in estimates.items():
        machine = load_gpu(name, AS_THE_PAPER)
        for source, published in (("hbm", near), ("host", far)):
            shorter, longer = (
                composition("llama-2-7b", machine, source=source, input_tokens=tokens, output_tokens=20, gpus=1).total
                for tokens in (512, 1024)
            )
            print(f"{name} {source}: published {published:.4f} s, {shorter:.4f} to {longer:.4f} s")
            assert 0.75 * published < shorter < longer < 1.25 * published
        switch = composition("llama-2-7b", machine, source="host", input_tokens=64, output_tokens=1, gpus=1).switch
        assert switch == pytest.approx(far - near, rel=0.05)


def test_bad_questions_are_refused_with_what_there_is() -> None:
    with pytest.raises(OptionError, match="no memory tier 'sram': it has hbm and host"):
        COSTS.switch(EXPERT, "sram", "hbm")
    with pytest.raises(OptionError, match="no model is given for the shape 'nine': there are seven"):
        COSTS.decode("nine", 1, 10)
    with pytest.raises(LowerError, match="tp=8 does not divide"):
        GpuCosts(H100, {"gpt": "gpt2"}).prefill("gpt", 1, 10)
