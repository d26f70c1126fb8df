"""Runs an experiment: the runs that its experiment.yaml lists, as a table (results.csv) and a picture (results.svg).

    python experiments/run.py experiments/scaling

A line of the picture is one `run` (options of `rdusim run`) with the lists under `vary` put in, one value of each at a
time. Every point names the resource that most of its time is given to.
"""

from __future__ import annotations

import argparse
import csv
import io
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from rdusim.errors import RdusimError
from rdusim.pipeline import RunRequest, run
from rdusim.report.types import Report

COLUMNS = (
    "line", "x", "parallel", "batch", "seconds", "tokens_per_second", "efficiency", "limited_by", "limited_share",
    "compute_seconds", "links_seconds", "without_overlap_seconds", "problem",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One run of a line. `problem`: why there is no report."""

    line: str
    x: float
    request: RunRequest
    report: Report | None
    problem: str = ""


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("folder", type=Path, nargs="+", help="with an experiment.yaml in it")
    options.add_argument("--no-plot", action="store_true", help="only the table")
    chosen = options.parse_args()
    for folder in chosen.folder:
        experiment = yaml.safe_load((folder / "experiment.yaml").read_text(encoding="utf-8"))
        points = [point for line in experiment["lines"] for point in points_of(line, experiment["x"], folder)]
        write(folder / "results.csv", table(points))
        if not chosen.no_plot:
            write(folder / "results.svg", picture(experiment, points))
        print(table(points).decode(), end="")
    return 0


def points_of(line: Mapping[str, Any], x: str, folder: Path) -> Iterator[Point]:
    """The runs of a line, in order."""
    vary = line["vary"]
    for values in zip(*vary.values(), strict=True):
        asked = dict(line["run"]) | dict(zip(vary, values, strict=True))
        if (folder / str(asked["model"])).exists():
            asked["model"] = str(folder / str(asked["model"]))
        request = RunRequest(**asked)
        print(f"{line['name']}: {x} {asked[x]}", file=sys.stderr)
        try:
            yield Point(line=line["name"], x=asked[x], request=request, report=run(request))
        except RdusimError as error:
            yield Point(line=line["name"], x=asked[x], request=request, report=None, problem=str(error).splitlines()[0])


def table(points: Sequence[Point]) -> bytes:
    """One row a point; efficiency against the line's first point, sockets for sockets."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for point in points:
        first = next(other for other in points if other.line == point.line and other.report is not None)
        writer.writerow(row(point, first))
    return text.getvalue().encode()


def row(point: Point, first: Point) -> dict[str, object]:
    if point.report is None or first.report is None:
        return {"line": point.line, "x": point.x, "problem": point.problem}
    report = point.report
    ways = " ".join(f"{axis}={count}" for axis, count in report.setting.parallelism.items() if count > 1) or "tp=1"
    cause, seconds = next(iter(report.breakdown_seconds.items()))
    total = report.latency.total_seconds
    alone = bounds(report)
    return {
        "line": point.line,
        "x": point.x,
        "parallel": ways,
        "batch": report.setting.batch,
        "seconds": f"{total:.6g}",
        "tokens_per_second": f"{rate(report):.6g}",
        "efficiency": f"{rate(report) / rate(first.report) * first.x / point.x:.4f}",
        "limited_by": cause,
        "limited_share": f"{seconds / total:.3f}",
        "compute_seconds": f"{alone.get('pcu', 0.0):.6g}",
        "links_seconds": f"{alone.get('p2p', 0.0):.6g}",
        "without_overlap_seconds": f"{alone.get('pcu', 0.0) + alone.get('p2p', 0.0):.6g}",
    }


def bounds(report: Report) -> dict[str, float]:
    """Seconds that each resource needs at least over the run, as if it were alone."""
    found: dict[str, float] = {}
    for section in report.sections:
        for resource, seconds in section.bound_seconds.items():
            found[resource] = found.get(resource, 0.0) + section.repeats * seconds
    return found


def rate(report: Report) -> float:
    """Tokens a second, or runs a second of a graph that has no tokens."""
    return report.throughput.tokens_per_second or 1.0 / report.latency.total_seconds


def picture(experiment: Mapping[str, Any], points: Sequence[Point]) -> bytes:
    """Rates over sockets, both logarithmic, with the ideal of each line dotted, as SVG."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "rdusim"
    mpl.rcParams["svg.fonttype"] = "none"
    from matplotlib import pyplot as plt

    names = list(dict.fromkeys(point.line for point in points))
    count = len(experiment["panels"])
    figure, panels = plt.subplots(1, count, figsize=(7 * count, 5.5), squeeze=False)
    colours = ("#0072B2", "#D55E00", "#009E73", "#CC79A7")  # Okabe and Ito: told apart by colour-blind people
    for axes, panel in zip(panels[0], experiment["panels"], strict=True):
        shown = [name for name in names if name in panel["lines"]]
        for colour, marker, name in zip(colours, "os^D", shown, strict=False):
            done = [(point.x, point.report) for point in points if point.line == name and point.report is not None]
            xs, ys = [x for x, _ in done], [rate(report) for _, report in done]
            axes.plot(xs, ys, color=colour, marker=marker, label=name)
            axes.plot(xs, [ys[0] * x / xs[0] for x in xs], color=colour, linestyle=":", linewidth=1)
            for x, y, (_, report) in zip(xs, ys, done, strict=True):
                axes.annotate(next(iter(report.breakdown_seconds)), (x, y), xytext=(4, -11), textcoords="offset points",
                              fontsize=8, color=colour)  # fmt: skip
        axes.set(xscale="log", yscale="log", xlabel=experiment["x"], ylabel=panel["y"], title=panel["title"])
        ticks = sorted({point.x for point in points})
        axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        axes.minorticks_off()
        axes.grid(alpha=0.3)
        axes.legend(frameon=False)
    figure.suptitle(experiment["title"])
    figure.tight_layout()
    out = io.BytesIO()
    figure.savefig(out, format="svg", metadata={"Date": None})
    return out.getvalue()


def write(path: Path, content: bytes) -> None:
    """Whole or not at all."""
    part = path.with_suffix(path.suffix + ".part")
    part.write_bytes(content)
    part.replace(path)


if __name__ == "__main__":
    sys.exit(main())
