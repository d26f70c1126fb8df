"""ServeGen's files of clients: `<name>-trace.csv` with rates by window and `<name>-dataset.json` with lengths."""

from __future__ import annotations

import ast
import csv
import json
from math import isfinite
from pathlib import Path

import numpy as np

from rdusim.errors import Problem, TraceError
from rdusim.serve.arrivals.clients import Client, Window
from rdusim.serve.lengths.by_client import Histogram, Period

_FAMILIES = {"gamma": "gamma", "weibull": "weibull", "expon": "exponential", "exponential": "exponential"}
_SUFFIX = "-trace.csv"


def read_clients(folder: Path | str) -> tuple[tuple[Client, ...], tuple[tuple[Period, ...], ...]]:
    """Clients of a folder by name, and the lengths of each (empty where it has no dataset).

    A row of a trace is: window start, requests a second, CV, family, shape, scale; a window without requests has no
    family. Raises TraceError with file, line, field, value and a way out.
    """
    files = sorted(Path(folder).glob(f"*{_SUFFIX}"))
    if not files:
        raise TraceError(
            Problem(message=f"has no files *{_SUFFIX}", file=str(folder), hint="a folder of ServeGen's data")
        )
    problems: list[Problem] = []
    clients = tuple(Client(name=f.name.removesuffix(_SUFFIX), windows=_windows(f, problems)) for f in files)
    lengths = tuple(_periods(f.with_name(f.name.replace(_SUFFIX, "-dataset.json")), problems) for f in files)
    if problems:
        raise TraceError(*problems[:20])
    return clients, lengths


def _windows(file: Path, problems: list[Problem]) -> tuple[Window, ...]:
    windows: list[Window] = []
    with file.open(encoding="utf-8", newline="") as lines:
        for number, row in enumerate(csv.reader(lines), start=1):
            try:
                window = _window(row)
            except ValueError as error:
                hint = "start,rate,cv,family,shape,scale as ServeGen has them"
                problems.append(Problem(message=str(error), file=str(file), line=number, hint=hint))
                continue
            if windows and window.start <= windows[-1].start:
                message = f"{window.start:g} is not after the window above it: time runs backwards"
                problems.append(Problem(message=message, file=str(file), line=number, column=1, hint="sort the rows"))
            windows.append(window)
    if not windows and not problems:
        problems.append(Problem(message="the trace is empty", file=str(file), hint="one window at least"))
    return tuple(windows)


def _window(row: list[str]) -> Window:
    if len(row) != 6:
        raise ValueError(f"{len(row)} values, not 6")
    start, rate = float(row[0]), float(row[1])
    if not (isfinite(rate) and rate >= 0 and isfinite(start)):
        raise ValueError(f"{row[1]} requests a second from {row[0]} s on make no sense")
    if not rate or not row[3]:
        return Window(start=start, rate=0.0)
    if (family := _FAMILIES.get(row[3].strip().lower())) is None:
        raise ValueError(f"the family {row[3]!r} is not known: Gamma, Weibull or Expon")
    shape = 1.0 if family == "exponential" else float(row[4])
    if not (isfinite(shape) and shape > 0):
        raise ValueError(f"shape {row[4]} is not above 0")
    return Window(start=start, rate=rate, family=family, shape=shape)


def _periods(file: Path, problems: list[Problem]) -> tuple[Period, ...]:
    if not file.is_file():
        return ()
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        periods = [
            Period(start=float(start), prompt=_histogram(of["input_tokens"]), output=_histogram(of["output_tokens"]))
            for start, of in content.items()
            if of["input_tokens"] != "{}" and of["output_tokens"] != "{}"
        ]
    except (ValueError, KeyError, TypeError, AttributeError, SyntaxError) as error:
        hint = "by period, input_tokens and output_tokens as {tokens: probability}"
        problems.append(Problem(message=f"cannot be read: {error!r}", file=str(file), hint=hint))
        return ()
    return tuple(sorted(periods, key=lambda period: period.start))


def _histogram(text: str) -> Histogram:
    weights = {int(tokens): float(share) for tokens, share in ast.literal_eval(text).items()}
    if not weights or min(weights) < 0 or min(weights.values()) < 0 or not sum(weights.values()) > 0:
        raise ValueError(f"{text[:60]} is no histogram")
    return Histogram(tokens=np.array(list(weights)), weights=np.array(list(weights.values())))
