from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from rdusim.arch.source import Table, leaves, read_table
from rdusim.baselines.gpu.load import AS_THE_PAPER, gpu_names, load_gpu
from rdusim.errors import ArchError
from rdusim.shipped import names, shipped

FOLDER = shipped("arch") / "gpu"


def problems(path: Path | str, overrides: tuple[str, ...] = ()) -> list[str]:
    """What is wrong, one a line, without the folder."""
    with pytest.raises(ArchError) as caught:
        load_gpu(path, overrides)
    return str(caught.value).replace(f"{Path(path).parent}/", "").splitlines()


def write(folder: Path, text: str, name: str = "bad") -> Path:
    path = folder / f"{name}.yaml"
    path.write_text(text)
    return path


def test_every_shipped_gpu_loads_and_none_of_them_passes_for_an_rdu() -> None:
    assert {"a100", "a100-40gb", "h100"} <= set(gpu_names())
    assert {load_gpu(f"gpu/{name}").name for name in gpu_names()} == set(gpu_names())
    assert not {"a100", "h100", "gpu"} & set(names("arch"))


@pytest.mark.parametrize(("name", "peak"), [("a100", 312e12), ("a100-40gb", 312e12), ("h100", 989e12)])
def test_peaks_are_the_published_ones(name: str, peak: float) -> None:
    gpu = load_gpu(name).gpu
    assert 2 * gpu.sms * gpu.tensor_macs_per_cycle["bf16"] * gpu.clock == pytest.approx(peak, rel=1e-3)


def test_the_smaller_a100_differs_from_the_larger_only_in_its_memories() -> None:
    large, small = load_gpu("a100"), load_gpu("a100-40gb")
    memory = replace(large.gpu.memory, capacity=small.gpu.memory.capacity, bandwidth=small.gpu.memory.bandwidth)
    assert replace(large.gpu, memory=memory) == small.gpu
    assert small.software == large.software


@pytest.mark.parametrize("name", gpu_names())
def test_every_number_has_a_source_or_says_that_it_is_assumed(name: str) -> None:
    table, wrong = read_table((FOLDER / f"{name}.yaml").read_text(), name)
    assert isinstance(table, Table) and not wrong
    sources = ("facts", "whitepaper", "MICRO", "derived", "assumed: ")
    numbers = [(path, value.note) for path, value in leaves(table) if value.text[0].isdigit()]
    assert [path for path, note in numbers if not note.startswith(sources)] == []


def test_all_problems_of_a_file_come_at_once_from_top_to_bottom(tmp_path: Path) -> None:
    text = """\
schema: rdusim-gpu/1
name: bad
extends: a100
gpu:
  sms: 0
  smz: 4
  clock: 1.4
  tensor_macs_per_cycle: {fp99: 16}
  memory:
    streaming: 1.2
  nvlink: 300 GB/s
node:
  gpus: 2
  host_links: 4
"""
    assert problems(write(tmp_path, text)) == [
        "bad.yaml:5:8: gpu.sms: '0' must be greater than zero",
        "bad.yaml:6:3: gpu.smz: unknown field (did you mean sms?)",
        "bad.yaml:7:10: gpu.clock: '1.4' has no unit: a frequency is written like '1.2 GHz'",
        "bad.yaml:10:16: gpu.memory.streaming: '1.2' must be at most 1 (it is a share, such as 0.9)",
        "bad.yaml:11:11: gpu.nvlink: '300 GB/s' stands where a group of fields is wanted",
        "bad.yaml:14:15: node.host_links: 4 links, but 2 GPUs (at most one for each GPU)",
    ]


def test_numbers_that_only_together_are_wrong_are_found(tmp_path: Path) -> None:
    text = "schema: rdusim-gpu/1\nname: bad\nextends: h100\ngpu:\n  bytes_in_flight: 4 KiB\n"
    assert problems(write(tmp_path, text)) == [
        "bad.yaml:5:20: gpu.bytes_in_flight: 132 SMs with 4 KiB in flight reach 832 GB/s, HBM streams more "
        "(raise bytes_in_flight, or lower memory.bandwidth, memory.streaming or memory.latency)"
    ]
    text = "schema: rdusim-gpu/1\nname: bad\nextends: h100\ngpu:\n  tensor_macs_per_cycle: {fp99: 16, bf16: null}\n"
    assert [line.split(": ")[1:3] for line in problems(write(tmp_path, text))] == [
        ["gpu.tensor_macs_per_cycle", "bf16 is missing (every model can run in bf16)"],
        ["gpu.tensor_macs_per_cycle.fp99", "unknown number format (known"],
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "the file is empty"),
        ("schema: rdusim-arch/1\nname: x\nextends: a100\n", "is not a schema of GPUs this rdusim reads"),
        ("name: x\nextends: a100\n", "schema: missing field (write 'schema: rdusim-gpu/1' as the first line)"),
        ("schema: rdusim-gpu/1\nextends: a100\n", "name: missing field"),
        ("schema: rdusim-gpu/1\nname: x\nextends: a101\n", "did you mean a100"),
        ("schema: rdusim-gpu/1\nname: x\nextends: bad\n", "GPUs extend each other in a circle: bad -> bad"),
        ("schema: rdusim-gpu/1\nname: x\nextends: {a: 1}\n", "a name is wanted"),
        ("schema: rdusim-gpu/1\nname: x\n", "gpu: missing field"),
        ("schema: [", "broken YAML"),
    ],
)
def test_a_file_that_is_no_gpu_is_refused_with_its_place(tmp_path: Path, text: str, said: str) -> None:
    lines = problems(write(tmp_path, text))
    assert any(said in line for line in lines), lines
    assert all(line.startswith("bad.yaml") for line in lines)


def test_a_name_that_is_none_gets_the_nearest() -> None:
    assert problems("h10") == [
        "there is no GPU 'h10' (did you mean h100? shipped: a100, a100-40gb, h100; for a file of yours give its "
        "path, ending in .yaml)"
    ]
    assert "cannot be read" in problems("nowhere.yaml")[0]


def test_overrides_change_a_value_or_say_why_not() -> None:
    assert load_gpu("h100", ["gpu.memory.bandwidth=4 TB/s"]).gpu.memory.bandwidth == 4e12
    assert load_gpu("h100", AS_THE_PAPER).node.host_link.achieved == 1
    assert "did you mean node.host_links?" in problems("h100", ("node.host_link5=2",))[0]
