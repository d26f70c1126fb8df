"""Calibration: the values of `assumed` parameters that fit the targets best, and how well the targets determine them.

    make calibrate        or        python experiments/calibration/run.py

Searches what calibration.yaml lists, and writes beside it parameters.csv (fitted, and the interval in which the misfit
rises by less than 1), targets.csv (predictions before and after), directions.csv (which combinations are determined),
profile.csv and profile.svg (the misfit over each parameter, the others fitted anew). Changes no machine file.
"""

from __future__ import annotations

import argparse
import csv
import io
import sys
from collections.abc import Iterator, Sequence
from math import isinf
from pathlib import Path

from rdusim.baselines.published_rows import MACHINE
from rdusim.errors import RdusimError
from rdusim.explore.calibrate import Calibration, Predictor, bounded, published, read_calibration
from rdusim.explore.calibration import RISE, Bounded, Direction, Fit, Profile, directions, fit, profile
from rdusim.pipeline import Cache

HERE = Path(__file__).parent
POINTS = 9  # of a profile, beside the best and the present value


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--output", type=Path, default=HERE, metavar="FOLDER", help="where the results go")
    chosen = options.parse_args()
    try:
        calibration = read_calibration(HERE / "calibration.yaml")
        predictor = Predictor(calibration, cache=Cache(), observe=say)
        parameters = bounded(calibration)
        say("searching")
        best = fit(predictor.residuals, parameters)
        profiles = [profiled(predictor, parameters, best, at) for at in range(len(parameters))]
        say("compiling anew at the best values")
        anew = predictor.anew(best.values)
    except RdusimError as error:
        print(error, file=sys.stderr)
        return 2
    start = tuple(parameter.start for parameter in parameters)
    before = Fit(values=start, misfit=misfit(predictor, start))
    found = directions(predictor.residuals, start)
    write(chosen.output / "parameters.csv", table(list(parameter_rows(calibration, best, profiles))))
    write(chosen.output / "targets.csv", table(list(target_rows(predictor, before, best, anew))))
    write(chosen.output / "directions.csv", table(list(direction_rows(parameters, found))))
    write(chosen.output / "profile.csv", table(list(profile_rows(parameters, profiles))))
    write(chosen.output / "profile.svg", picture(calibration, parameters, before, best, profiles))
    for name in ("parameters.csv", "targets.csv", "directions.csv"):
        print((chosen.output / name).read_text(encoding="utf-8"))
    print(f"misfit at the values of {MACHINE}: {before.misfit:.3f}, at the best: {best.misfit:.3f}")
    return 0


def say(text: str) -> None:
    if sys.stderr.isatty():
        print(text, file=sys.stderr)


def profiled(predictor: Predictor, parameters: Sequence[Bounded], best: Fit, at: int) -> Profile:
    say(f"profile of {parameters[at].name}")
    return profile(predictor.residuals, parameters, best, at, POINTS)


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


def write(path: Path, content: bytes) -> None:
    """Whole or not at all."""
    part = path.with_suffix(path.suffix + ".part")
    part.write_bytes(content)
    part.replace(path)


if __name__ == "__main__":
    sys.exit(main())
