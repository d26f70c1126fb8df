"""What no number can show: a program that does not bring a stage what it reads."""

from __future__ import annotations


class ProgramFault(Exception):
    """The program contradicts itself. A mistake of lowering or mapping, not of the user."""
