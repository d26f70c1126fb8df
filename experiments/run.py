"""Reruns experiments: what each experiment.yaml asks, as a table (results.csv) and a picture (results.svg) beside it.

The short table in its README.md is made anew, too.

    python experiments/run.py                        all of them, as `make experiments` does
    python experiments/run.py experiments/fusion     one, or several

Runs that experiments have in common are made once. The format of a folder is in experiments/README.md. Exit code 2:
an experiment makes no sense, and nothing of it was written.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from statistics import median
from time import process_time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rdusim.pipeline import Cache
    from runner.types import Experiment, Outcome

HERE = Path(__file__).parent
WRONG = 2
INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument(
        "folder",
        type=Path,
        nargs="*",
        help="with an experiment.yaml in it, or a name such as fusion; all if none is named",
    )
    options.add_argument("--no-plot", dest="plot", action="store_false", help="only the tables")
    chosen = options.parse_args(arguments)
    from rdusim.errors import RdusimError
    from rdusim.pipeline import Cache
    from runner.families import families
    from runner.find import folder_of, shipped
    from runner.picture import check_plot
    from runner.read import read_experiment

    experiments, problems = [], list[str]()
    for folder in dict.fromkeys(chosen.folder or shipped(HERE)):  # all of them before the work, not in the middle of it
        try:
            experiments.append(read_experiment(folder_of(folder, HERE)))
        except RdusimError as error:
            problems.append(str(error))
    try:
        if chosen.plot:
            check_plot()
        if problems:
            raise RdusimError(*problems)
        for family in families(experiments):
            cache = Cache()
            for experiment in family:
                rerun(experiment, cache, plot=chosen.plot)
    except RdusimError as error:
        print(error, file=sys.stderr)
        return WRONG
    except KeyboardInterrupt:
        print("interrupted: the files of the experiment in work are as they were", file=sys.stderr)
        return INTERRUPTED
    return 0


def rerun(experiment: Experiment, cache: Cache, *, plot: bool) -> None:
    """Predict, write the files, and say in a line how it went."""
    from rdusim.cli.output import progress
    from runner.page import refreshed
    from runner.picture import picture
    from runner.predict import predict
    from runner.results import table

    start = process_time()
    with progress() as observe:
        outcomes = predict(experiment, cache, observe)
    files = {"results.csv": table(experiment, outcomes)}
    if plot:
        files["results.svg"] = picture(experiment, outcomes)
    readme = experiment.folder / "README.md"
    if readme.is_file():
        files["README.md"] = refreshed(readme.read_text(encoding="utf-8"), experiment, outcomes).encode()
    for name, content in files.items():
        _write(experiment.folder / name, content)
    print(summary(experiment, outcomes), flush=True)
    print(f"{experiment.name}: {process_time() - start:.1f} s of CPU", file=sys.stderr)


def summary(experiment: Experiment, outcomes: Sequence[Outcome]) -> str:
    """How many rows there are, how far off those are that can be compared, and how many have no result."""
    from runner.results import error

    main = [outcome for outcome in outcomes if outcome.asked.main]
    off = sorted(abs(found) for outcome in main if (found := error(experiment, outcome)) is not None)
    parts = [f"{len(main)} rows", f"{len(outcomes) - len(main)} sensitivities"]
    if off:
        parts.append(f"{len(off)} published, median error {median(off):.1%}, largest {off[-1]:.1%}")
    if failed := sum(bool(outcome.problem) for outcome in outcomes):
        parts.append(f"{failed} without a result")
    return f"{experiment.name}: {', '.join(parts)}"


def _write(path: Path, content: bytes) -> None:
    """Whole or not at all."""
    part = path.with_suffix(path.suffix + ".part")
    part.write_bytes(content)
    part.replace(path)


if __name__ == "__main__":
    sys.exit(main())
