"""GPUs from files: the only reader of arch/gpu/*.yaml."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final

from rdusim.arch.build import build
from rdusim.arch.files import FileKind, in_order, read_files
from rdusim.arch.merge import override
from rdusim.baselines.gpu.check import check_part
from rdusim.baselines.gpu.types import GpuMachine
from rdusim.errors import ArchError
from rdusim.shipped import shipped

SCHEMA: Final = "rdusim-gpu/1"
FOLDER: Final = "gpu"  # below the shipped machines; `gpu/h100` names a file in it
# How the SN40L paper counts a DGX: one host link, at its full rate (MICRO VI-C).
AS_THE_PAPER: Final = ("node.host_links=1", "node.host_link.achieved=1")


def load_gpu(name_or_path: str | Path, overrides: Iterable[str] = ()) -> GpuMachine:
    """The GPU of a shipped name (`h100` or `gpu/h100`) or of a file, with `path=value` overrides put in.

    Raises ArchError with everything that is wrong at once.
    """
    table, problems, whole = read_files(_GPU, name_or_path)
    if whole:
        table, wrong = override(table, overrides)
        problems += wrong
    machine = None
    if table.items:  # where nothing could be read there is no telling what is missing
        machine, wrong = build(GpuMachine, table, check_part, whole=whole)
        problems += wrong
    if problems or machine is None:
        raise ArchError(*in_order(problems))
    return machine


def gpu_names() -> tuple[str, ...]:
    """Shipped GPUs."""
    return tuple(sorted(path.stem for path in (shipped("arch") / FOLDER).glob("*.yaml")))


_GPU: Final = FileKind(
    noun="GPU",
    schema=SCHEMA,
    schemas="a schema of GPUs this rdusim reads",
    example="a100",
    names=gpu_names,
    folder=FOLDER,
)
