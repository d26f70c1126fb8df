"""Calibration: the values of `assumed` parameters that fit the targets best, and how well the targets determine them.

    make calibrate        or        python experiments/calibration/run.py

Searches what calibration.yaml lists, and writes beside it parameters.csv (fitted, and the interval in which the misfit
rises by less than 1), targets.csv (predictions before and after), directions.csv (which combinations are determined),
profile.csv and profile.svg (the misfit over each parameter, the others fitted anew). Changes no machine file. Exit
code 2: the calibration makes no sense, and nothing was written.
"""

from __future__ import annotations

import argparse
import csv
import io
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.util import find_spec
from math import isinf
from pathlib import Path
from typing import Final

from rdusim.baselines.published_rows import MACHINE
from rdusim.cli.output import check_writable, progress, write_file
from rdusim.errors import OptionError, Problem, RdusimError
from rdusim.explore.calibrate import Predictor, bounded, published
from rdusim.explore.calibration import RISE, Bounded, Direction, Fit, Profile, directions, fit, profile
from rdusim.explore.calibration_file import Calibration, read_calibration
from rdusim.pipeline import Cache

HERE = Path(__file__).parent
WRONG = 2
INTERRUPTED = 130
POINTS = 9  # of a profile, beside the best and the present value
TABLES: Final = ("parameters.csv", "targets.csv", "directions.csv", "profile.csv")
PICTURE: Final = "profile.svg"
SHOWN: Final = TABLES[:3]


def main(arguments: Sequence[str] | None = None) -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument(
        "file", type=Path, nargs="?", default=HERE / "calibration.yaml", help="what is searched; the one beside this"
    )
    options.add_argument("--output", type=Path, metavar="FOLDER", help="where the results go, if not beside the file")
    chosen = options.parse_args(arguments)
    try:
        calibration, folder = checked(chosen.file, chosen.output)
        with progress() as observe:
            files, closing = searched(calibration, observe)
        for name, content in files.items():  # all are made before the first is written
            write_file(folder / name, content)
    except RdusimError as error:
        print(error, file=sys.stderr)
        return WRONG
    except KeyboardInterrupt:
        print("interrupted: nothing was written", file=sys.stderr)
        return INTERRUPTED
    for name in SHOWN:
        print(files[name].decode())
    print(closing)
    return 0


def checked(file: Path, output: Path | None) -> tuple[Calibration, Path]:
    """The calibration and the folder of its results. Raises RdusimError with all that stands against the work."""
    problems: list[Problem] = []
    folder = file.parent if output is None else output
    try:
        calibration = read_calibration(file)
    except RdusimError as error:
        problems += error.problems
    try:
        for name in (*TABLES, PICTURE):
            check_writable(folder / name, "--output")
    except OptionError as error:
        problems += error.problems
    for package in ("scipy", "matplotlib"):
        if find_spec(package) is None:
            hint = "pip install 'rdusim[calibrate]'"
            problems.append(Problem(message=f"{package} is not installed", hint=hint))
    if problems:
        raise RdusimError(*problems)
    return calibration, folder


def searched(calibration: Calibration, observe: Callable[[str], None]) -> tuple[Mapping[str, bytes], str]:
    """The results by file name, and a line that sums them up."""
    predictor = Predictor(calibration, cache=Cache(), observe=observe)
    parameters = bounded(calibration)
    observe("searching")
    best = fit(predictor.residuals, parameters)
    profiles = []
    for at, parameter in enumerate(parameters):
        observe(f"profile of {parameter.name}")
        profiles.append(profile(predictor.residuals, parameters, best, at, POINTS))
    observe("compiling anew at the best values")
    anew = predictor.anew(best.values)
    start = tuple(parameter.start for parameter in parameters)
    before = Fit(values=start, misfit=misfit(predictor, start))
    tables = (
        parameter_rows(calibration, best, profiles),
        target_rows(predictor, before, best, anew),
        direction_rows(parameters, directions(predictor.residuals, start)),
        profile_rows(parameters, profiles),
    )
    files = {name: table(list(rows)) for name, rows in zip(TABLES, tables, strict=True)}
    files[PICTURE] = picture(calibration, parameters, before, best, profiles)
    return files, f"misfit at the values of {MACHINE}: {before.misfit:.3f}, at the best: {best.misfit:.3f}"


def misfit(predictor: Predictor, values: Sequence[float]) -> float:
    import numpy as np

    return float(np.sum(predictor.residuals(np.log(np.array(values))) ** 2))


def parameter_rows(calibration: Calibration, best: Fit, profiles: Sequence[Profile]) -> Iterator[dict[str, object]]:
    for free, parameter, value, each in zip(
        calibration.parameters, bounded(calibration), best.values, profiles, strict=True
    ):
        low, high = each.interval(best.misfit)
        ends = [low > parameter.low, high < parameter.high]
        yield {
            "parameter": free.path,
            "unit": free.unit,
            "lower_bound": digits(free.low),
            "upper_bound": digits(free.high),
            f"{MACHINE}": digits(parameter.start),
            "best": digits(value),
            "interval_low": digits(low),
            "interval_high": digits(high),
            "determined": {2: "both ways", 1: "from below" if ends[0] else "from above", 0: "no"}[sum(ends)],
            f"{MACHINE}_inside": "yes" if low <= parameter.start <= high else "no",
        }


def target_rows(predictor: Predictor, before: Fit, best: Fit, anew: Sequence[float]) -> Iterator[dict[str, object]]:
    """Errors. `compiled_anew`: a whole run at the best values; its programs may be others than those searched with."""
    columns = zip(
        predictor.calibration.targets,
        predictor.predict(before.values),
        predictor.predict(best.values),
        anew,
        strict=True,
    )
    for aim, present, fitted, whole in columns:
        value = published(aim.target)
        yield {
            "target": aim.target,
            "uncertainty": f"{100 * aim.uncertainty:g}%",
            "published": digits(value),
            "predicted": digits(present),
            "error": percent(present / value - 1),
            "predicted_at_best": digits(fitted),
            "error_at_best": percent(fitted / value - 1),
            "compiled_anew": digits(whole),
            "error_compiled_anew": percent(whole / value - 1),
        }


def direction_rows(parameters: Sequence[Bounded], found: Sequence[Direction]) -> Iterator[dict[str, object]]:
    """At the machine's values: how far along each one may go for a misfit of 1 more, and its parts."""
    for number, direction in enumerate(found, start=1):
        spread = "unlimited" if isinf(direction.spread) or direction.spread > 1e6 else f"{direction.spread:.4g}"
        parts = zip(parameters, direction.parts, strict=True)
        yield {
            "direction": number,
            "determined_to_a_factor_of": spread,
            **{parameter.name: f"{part:+.2f}".replace("-0.00", "+0.00") for parameter, part in parts},
        }


def profile_rows(parameters: Sequence[Bounded], profiles: Sequence[Profile]) -> Iterator[dict[str, object]]:
    for each in profiles:
        for value, found in each.points:
            yield {
                "fixed": parameters[each.at].name,
                "value": digits(value),
                "misfit": f"{found.misfit:.3f}",
                **{parameter.name: digits(other) for parameter, other in zip(parameters, found.values, strict=True)},
            }


def digits(value: float) -> str:
    """Three: a search ends where it is good enough, and the last bits depend on the machine that searched."""
    return f"{value:.3g}" if value < 1000 else f"{value:.0f}"


def percent(share: float) -> str:
    return f"{100 * share:+.1f}%"


def table(rows: Sequence[dict[str, object]]) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def picture(
    calibration: Calibration, parameters: Sequence[Bounded], before: Fit, best: Fit, profiles: Sequence[Profile]
) -> bytes:
    """A panel for each parameter: the least misfit over its value, the machine's value, and the rise by 1."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context({"svg.hashsalt": "rdusim", "svg.fonttype": "none"}):
        columns = 3
        rows = -(-len(profiles) // columns)
        figure = Figure(figsize=(4.2 * columns, 3.2 * rows), layout="constrained")
        for number, each in enumerate(profiles):
            free, parameter = calibration.parameters[each.at], parameters[each.at]
            axes = figure.add_subplot(rows, columns, number + 1)
            xs, ys = [value for value, _ in each.points], [found.misfit for _, found in each.points]
            axes.plot(xs, ys, "o-", color="#0072B2", markersize=4, label="least misfit, the others free")
            axes.axhline(best.misfit + RISE, color="0.5", linestyle=":", label="one more than the best")
            axes.axvline(parameter.start, color="#D55E00", linestyle="--", label=f"value of {MACHINE}")
            axes.plot(
                [parameter.start], [before.misfit], "s", color="#D55E00", fillstyle="none", label="all as they are"
            )
            axes.set(xscale="log", xlabel=f"{free.path}, {free.unit}", ylabel="misfit")
            ticks = [parameter.low, parameter.start, parameter.high]
            axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
            axes.minorticks_off()
            axes.set_ylim(0.0, max(3.0 * (best.misfit + RISE), 1.2 * before.misfit))
        figure.axes[0].legend(frameon=False, fontsize=7)
        out = io.BytesIO()
        figure.savefig(out, format="svg", metadata={"Date": None})
    return out.getvalue()


if __name__ == "__main__":
    sys.exit(main())
