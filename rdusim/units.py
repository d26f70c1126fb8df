"""Quantities: types for SI numbers, and text with a unit in, text with a unit out."""

from __future__ import annotations

from typing import NewType

Bytes = NewType("Bytes", int)
BytesPerSecond = NewType("BytesPerSecond", float)
Seconds = NewType("Seconds", float)
Cycles = NewType("Cycles", float)
Hertz = NewType("Hertz", float)
