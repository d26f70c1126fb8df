"""rdusim micro: a microbenchmark of one's own, in all engines or looked at in one."""

from __future__ import annotations

from pathlib import Path

import click

from rdusim.cli.output import check_writable, emit, emit_rich, is_json, progress


@click.command("micro")
@click.argument("name", metavar="MICRO")
@click.option(
    "--engine",
    type=click.Choice(["steady", "discrete", "cycle"]),
    help="Only this engine, stage by stage.  [default: all, side by side]",
)
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON (docs/cli.md).")
@click.option("--output", type=click.Path(path_type=Path), metavar="FILE", help="Write it there instead.")
def command(name: str, engine: str | None, as_json: bool, output: Path | None) -> int:
    """Time a microbenchmark: one small section on a small machine.

    MICRO is a YAML file (experiments/micro/README.md has the format) or the name of a shipped one. Exit code 1 if the
    engines are too far apart.
    """
    check_writable(output, "--output")
    from rdusim.pipeline.cross_check import find_micro

    path = find_micro(name)
    return _alone(path, engine, as_json, output) if engine else _compared(path, as_json, output)


def _compared(path: Path, as_json: bool, output: Path | None) -> int:
    from rdusim.pipeline.cross_check import compare_micro
    from rdusim.report.cross_check import CrossCheck, print_cross_check
    from rdusim.report.cross_check import as_json as json_of

    with progress() as observe:
        observe(f"microbenchmark {path.stem}")
        check = CrossCheck(rows=(compare_micro(path),))
    if is_json(as_json, output):
        from rdusim.report.export import json_text

        emit(json_text(json_of(check)), output)
    else:
        emit_rich(lambda console: print_cross_check(check, console), output)
    return 1 if check.failed else 0


def _alone(path: Path, engine: str, as_json: bool, output: Path | None) -> int:
    from rdusim.pipeline.micro import load_micro
    from rdusim.report.explain import after_simulate
    from rdusim.sim.simulate import simulate
    from rdusim.sim.trace import SimulateOptions

    with progress() as observe:
        observe(f"microbenchmark {path.stem}")
        micro = load_micro(path)
        trace = simulate(micro.mapping, micro.arch, SimulateOptions(engine=engine))
    explained = after_simulate(trace, micro.mapping.program)
    if is_json(as_json, output):
        from rdusim.report.export import json_text

        emit(json_text(explained), output)
    else:
        from rdusim.report.render_explain import print_explained

        emit_rich(lambda console: print_explained("simulate", explained, console), output)
    return 0
