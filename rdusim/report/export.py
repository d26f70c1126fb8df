"""Nouns as plain JSON values, and a report in the documented JSON."""

from __future__ import annotations

import json
from dataclasses import fields, is_dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rdusim.report.types import Report

Json = dict[str, "Json"] | list["Json"] | str | int | float | bool | None


def as_json(report: Report) -> dict[str, Json]:
    """The contract of docs/cli.md: what was asked at the top level, then the answers; what does not apply is absent."""
    everything = to_json(report)
    assert isinstance(everything, dict)
    setting = everything.pop("setting")
    assert isinstance(setting, dict)
    if (ratio := report.operational_intensity.flops_per_byte) is not None:
        intensity = everything["operational_intensity"]
        assert isinstance(intensity, dict)
        intensity["flops_per_byte"] = ratio
    return setting | everything


def to_json(value: object) -> Json:
    """Plain JSON values of nouns: dataclasses become objects without their None fields, enums their values."""
    if isinstance(value, Enum):
        return to_json(value.value)
    if isinstance(value, Path):
        return str(value)
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if is_dataclass(value) and not isinstance(value, type):
        pairs = ((each.name, getattr(value, each.name)) for each in fields(value))
        return {name: to_json(item) for name, item in pairs if item is not None}
    if hasattr(value, "item"):  # a NumPy scalar
        return to_json(value.item())
    if hasattr(value, "items"):
        return {str(key): to_json(item) for key, item in value.items()}
    if hasattr(value, "__iter__"):
        return [to_json(item) for item in value]
    raise TypeError(f"{type(value).__name__} has no place in JSON")


def json_text(value: Json) -> str:
    """Indented JSON, one newline at the end; NaN and infinity are our mistake, never a value."""
    return json.dumps(value, indent=2, allow_nan=False, ensure_ascii=False) + "\n"
