"""What was published, against what is predicted. Tolerances are the `limits` of rdusim/baselines/published_rows.py, set
by the project's first milestone; sources are in rdusim/baselines/targets.csv. Every error stands in docs/validation.md.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from dataclasses import asdict, fields, replace
from functools import cache
from math import isclose
from pathlib import Path
from zipfile import ZipFile

import pytest

from rdusim.arch.show import show_arch
from rdusim.baselines import published_rows
from rdusim.baselines.explanations import EXPLAINED
from rdusim.baselines.groups import GROUPS
from rdusim.baselines.limits import Above, Near, Printed, Shares, Within
from rdusim.baselines.published import SETS, UNITS, Case, Row, load_targets, select
from rdusim.baselines.published_rows import CHOSEN, MACHINE, PENDING, ROWS, SAME_SHAPES
from rdusim.cli import main
from rdusim.errors import OptionError
from rdusim.pipeline import Cache, RunRequest, answer
from rdusim.pipeline.validate import validate
from rdusim.report.render_validate import BEGIN, END, markdown, updated
from rdusim.report.types import Report
from rdusim.report.validation import Outcome, Validation, as_json, case_of
from rdusim.report.validation_plot import validation_svg

ROOT = Path(__file__).resolve().parents[2]
TARGETS = load_targets()
LIMITED = [row for row in ROWS if row.limits]


@cache
def shared() -> Cache:
    return Cache()


def compared_with(row: Row) -> set[str]:
    return {limit.other for limit in row.limits if isinstance(limit, Above | Near)}


def named(row: Row) -> str:
    return f"{row.target} {row.reading} {' '.join(map(str, row.limits))} ({TARGETS[row.target].source})"


@pytest.mark.parametrize("row", LIMITED, ids=named)
def test_a_prediction_keeps_the_limit_of_its_target(row: Row) -> None:
    others = [other for other in ROWS if other.main and other.target in compared_with(row)]
    outcome = validate([row, *others], cache=shared()).outcomes[0]
    assert outcome.problem is None
    assert outcome.broken == (), f"published and predicted: {outcome.said()}"


@cache
def everything() -> Validation:
    return validate(cache=shared())


@pytest.mark.slow
def test_the_tables_of_the_docs_are_those_of_this_code() -> None:
    page = (ROOT / "docs/validation.md").read_text(encoding="utf-8")
    written = page.partition(BEGIN)[2].partition(END)[0].strip()
    now = markdown(everything()).strip()
    assert written.splitlines() == now.splitlines(), "run: rdusim validate --update docs/validation.md"


@pytest.mark.slow
def test_the_picture_of_the_docs_is_that_of_this_code() -> None:
    """Numbers are in the tables; of the picture, its labels: the bytes depend on the release of matplotlib."""
    labels = re.compile(rb"<text[^>]*>([^<]*)</text>")
    drawn = labels.findall((ROOT / "docs/validation.svg").read_bytes())
    now = labels.findall(validation_svg(everything()))
    assert drawn == now, "run: rdusim validate --plot docs/validation.svg"


@pytest.mark.slow
def test_groups_of_rows_keep_their_limits() -> None:
    """Issue 6: calibrated targets, and the bars of Fig. 10, of which each that is far has a reason."""
    groups = everything().groups()
    assert [judged.group for judged in groups] == list(GROUPS)
    for judged in groups:
        assert judged.broken == () == judged.unexplained


def both_runs(target: str) -> tuple[Report, Report]:
    row = next(row for row in ROWS if row.target == target and row.main)
    assert row.case is not None and row.against is not None
    case, against = (RunRequest(arch=MACHINE, **asdict(each)) for each in (row.case, row.against))
    return answer(case, cache=shared()), answer(against, cache=shared())


@pytest.mark.slow
def test_copies_of_keys_and_values_explain_the_decode_of_mistral() -> None:
    """T22, T23: what explanations.py says of the three kernels."""
    for target in ("T22", "T23"):
        fused, unfused = (report.latency.total_seconds for report in both_runs(target))
        copies = sum(
            section.seconds
            for section in both_runs(target)[1].sections
            if section.name.endswith(("k_repeat", "v_repeat", "k_transpose"))
        )
        assert (round(1e3 * copies), round(1e3 * unfused)) == (28, 66)
        ratio = (unfused - copies) / fused / TARGETS[target].value
        assert 1 / 1.2 <= ratio <= 1.2


@pytest.mark.slow
def test_programs_sent_by_the_host_explain_the_convolution() -> None:
    """T24, SO."""
    fused, _ = both_runs("T24")
    assert fused.setting.orchestration == "host"
    said = (round(1e3 * fused.breakdown_seconds["launch"], 2), round(1e3 * fused.latency.total_seconds, 2))
    assert said == (0.38, 0.49)


@pytest.mark.slow
def test_the_batch_explains_the_prefill_of_mistral() -> None:
    """T20, T21: the quotient of both bars is nearly the same at batch 1, where both are within 1.2."""
    batches: dict[int | None, dict[str, float]] = {4: {}, 1: {}}
    for outcome in everything().outcomes:
        row = outcome.row
        if row.target in ("T20", "T21") and row.case and row.against and row.against.fusion == "unfused":
            batches[row.case.batch][row.target] = outcome.predicted or 0.0
            assert row.main == (row.case.batch == 4)
            if row.case.batch == 1:
                assert (outcome.pair.factor or 9.0) < 1.2
    quotients = [round(found["T21"] / found["T20"], 2) for found in batches.values()]
    assert quotients == [1.11, 1.13]


@pytest.mark.slow
def test_an_explanation_stands_only_where_one_is_needed() -> None:
    """A finding that no longer holds is taken out."""
    far = {outcome.target.id for outcome in everything().outcomes if outcome.row.main and not outcome.pair.near}
    assert EXPLAINED.keys() <= far


def test_every_target_is_predicted_or_says_why_not() -> None:
    predicted = {row.target for row in ROWS if row.main}
    assert predicted | PENDING.keys() == TARGETS.keys()
    assert not predicted & PENDING.keys()


def test_a_reading_that_does_not_count_stands_beside_one_that_does() -> None:
    assert {row.target for row in ROWS} == {row.target for row in ROWS if row.main}
    assert len({(row.target, row.reading) for row in ROWS}) == len(ROWS)


@pytest.mark.parametrize("row", [row for row in ROWS if row.case], ids=named)
def test_a_case_asks_for_what_its_target_was_measured_at(row: Row) -> None:
    target, case = TARGETS[row.target], row.case
    assert case is not None
    assert (case.model, case.sockets) == (SAME_SHAPES.get(target.model or "", target.model), target.sockets)
    if case.phase is None:  # a graph whose shapes stand in its file
        assert target.phase == "forward"
        return
    assert case.phase == target.phase
    assert target.batch is None or case.batch == target.batch
    assert target.output_tokens is None or case.output_tokens == target.output_tokens
    assert target.input_tokens is None or target.input_tokens in (case.input_tokens, case.context_tokens)


def test_the_baseline_of_a_speedup_is_a_kernel_an_operator_or_a_module_started_by_the_host() -> None:
    baselines = [row.against for row in select(ROWS, ["fusion"]) if row.against is not None]
    assert {case.fusion for case in baselines} == {"unfused", "modules"}
    for row in select(ROWS, ["fusion"]):
        assert row.case is not None
        assert row.against is not None
        assert row.against == replace(row.case, fusion=row.against.fusion, orchestration="host")


def test_speedups_and_kernel_ratios_of_a_benchmark_are_of_the_same_runs() -> None:
    def runs(name: str) -> set[tuple[str, str | None, int | None, str]]:
        rows = [row for row in select(ROWS, [name]) if row.main]
        return {
            (row.case.model, row.case.phase, row.case.batch, row.against.fusion)
            for row in rows
            if row.case and row.against
        }

    assert runs("fusion") == runs("kernels")


def test_a_case_has_options_that_a_run_knows() -> None:
    assert {field.name for field in fields(Case)} <= {field.name for field in fields(RunRequest)}


def test_every_parameter_that_was_chosen_by_a_target_is_one_of_the_machine() -> None:
    known = {row.path: row.note for row in show_arch(MACHINE)}
    paths = {path for path in CHOSEN if " " not in path}
    assert paths <= known.keys()
    assert all(known[path].startswith(("assumed", "derived")) for path in paths)
    assert {target for targets in CHOSEN.values() for target in targets} <= {row.target for row in ROWS}


def test_units_and_sets_of_rows_are_known() -> None:
    assert {TARGETS[row.target].unit for row in ROWS} <= UNITS.keys()
    assert {row.set for row in ROWS} == SETS.keys()


@pytest.mark.parametrize(
    ("limit", "predicted", "holds"),
    [
        (Within(0.15), 1.15 * 200, True),
        (Within(0.15), 1.151 * 200, False),
        (Within(0.15), 0.849 * 200, False),
        (Printed(1), 200.04, True),
        (Printed(1), 200.06, False),
        (Shares(0.8, 0.95), 0.8, True),
        (Shares(0.8, 0.95), 0.951, False),
        (Shares(0.8), 0.799, False),
        (Above("T12"), 100.0, False),
        (Above("T12"), 100.1, True),
        (Above("T99"), 0.0, True),
        (Near("T12", 0.1), 90.0, True),
        (Near("T12", 0.1), 110.1, False),
    ],
    ids=str,
)
def test_limits_hold_up_to_their_edge(limit: Within | Above, predicted: float, holds: bool) -> None:
    assert limit.holds(predicted, 200.0, {"T12": 100.0}) is holds


def machine_rows() -> tuple[Row, ...]:
    return select(ROWS, ["machine"])


def test_totals_keep_apart_what_was_chosen_by_looking() -> None:
    found = validate((*machine_rows(), *select(ROWS, ["intensity"])))
    assert found.totals()["calibrated"].rows == 5 == found.totals()["all"].rows
    assert found.totals()["predicted"].median_absolute_error is None
    errors = sorted(abs(outcome.error or 0) for outcome in found.outcomes if outcome.row.main)
    assert isclose(found.totals()["all"].median_absolute_error or 0, errors[2])
    assert {name: total.rows for name, total in found.totals_by_set().items()} == {"machine": 2, "intensity": 3}


def fusion(predicted: Mapping[str, float], *, missing: str = "") -> Validation:
    """Bars of Fig. 10 as predicted `predicted` times what was published, the others exactly."""
    outcomes = [
        Outcome(
            row=row,
            target=(target := TARGETS[row.target]),
            published=target.value,
            predicted=None if row.target == missing else target.value * predicted.get(row.target, 1.0),
            problem="cannot be run" if row.target == missing else None,
            chosen=(),
            broken=(),
        )
        for row in select(ROWS, ["fusion"])
    ]
    return Validation(arch=MACHINE, outcomes=tuple(outcomes), pending=(), assumed=(), complete=frozenset({"fusion"}))


def test_bars_that_are_all_near_and_in_order_are_accepted() -> None:
    (judged,) = fusion({}).groups()
    assert not judged.failed and not fusion({}).failed
    assert judged.agreement.rank_correlation == pytest.approx(1.0)


def test_a_bar_beyond_the_band_fails_without_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rdusim.report.validation.EXPLAINED", {})
    found = fusion({"T16": 1.6})
    (judged,) = found.groups()
    assert judged.broken == () and [outcome.target.id for outcome in judged.unexplained] == ["T16"]
    assert found.failed and as_json(found)["broken"] == 1  # type: ignore[index, call-overload]
    monkeypatch.setattr("rdusim.report.validation.EXPLAINED", {"T16": (1.7, "a cause")})
    assert not fusion({"T16": 1.6}).failed
    assert fusion({"T16": 1.8}).failed, "the cause explains a factor of 1.7, not one of 1.8"


def test_bars_out_of_order_or_mostly_far_break_the_limits_of_their_group() -> None:
    upside_down = {row.target: 1.0 / TARGETS[row.target].value ** 2 for row in select(ROWS, ["fusion"])}
    (judged,) = fusion(upside_down).groups()
    assert judged.broken == ("rank correlation at least 0.85", "at least 66.7% within a factor of 1.5")
    (scaled,) = fusion({row.target: 1.6 for row in select(ROWS, ["fusion"])}).groups()
    assert scaled.broken == ("at least 66.7% within a factor of 1.5",)


def test_a_bar_that_could_not_be_run_counts_as_far_and_fails_by_itself() -> None:
    found = fusion({}, missing="T16")
    (judged,) = found.groups()
    assert judged.agreement.share_within_band == 15 / 16
    assert [outcome.target.id for outcome in found.broken] == ["T16"]


def test_a_part_of_a_group_is_not_judged() -> None:
    assert validate(machine_rows()).groups() == ()
    assert validate(machine_rows()).complete == {"machine"}
    assert validate(machine_rows()[:1]).complete == frozenset()


def test_a_target_was_used_where_the_note_of_the_parameter_says_so() -> None:
    """`assumed` values say beside them which targets were in view; CHOSEN says the same."""
    for row in show_arch(MACHINE):
        if row.note.startswith("assumed"):
            assert named_in(row.note) == set(CHOSEN.get(row.path, ())), row.path


def test_a_batch_that_no_source_prints_counts_as_chosen() -> None:
    conditions = {target for path, targets in CHOSEN.items() if " " in path for target in targets}
    open_ = {row.target for row in ROWS if row.case and row.case.batch and TARGETS[row.target].batch is None}
    assert {"T10", "T31"} <= open_ <= conditions


def test_targets_that_gpu_files_name_are_those_of_the_table() -> None:
    text = " ".join(
        line.partition("#")[2]
        for name in ("a100", "h100")
        for line in (ROOT / f"arch/gpu/{name}.yaml").read_text(encoding="utf-8").splitlines()
    )
    said = {
        target
        for note in re.findall(r"[Cc]hosen with (.*?)in view", re.sub(r"\s+", " ", text))
        for target in named_in(note)
    }
    table = {target for path, targets in CHOSEN.items() if "gpu/" in path or "GPUs" in path for target in targets}
    assert said == table


def named_in(note: str) -> set[str]:
    """Targets of a note; T50-T55 are six. T83 - T82, a difference, names both."""
    spans = re.findall(r"\bT(\d\d)(?:-T?(\d\d))?\b", note)
    return {f"T{number:02}" for first, last in spans for number in range(int(first), int(last or first) + 1)}


def test_a_row_that_cannot_be_run_says_why_and_fails() -> None:
    row = Row(target="T03", set="intensity", measure=LIMITED[0].measure, case=Case(model="monarch-fft", sockets=99))
    outcome = validate([row]).outcomes[0]
    assert outcome.failed and outcome.predicted is None
    assert "99" in (outcome.problem or "")
    assert not validate([replace(row, main=False)]).outcomes[0].failed


def test_a_description_names_every_length_once() -> None:
    generation = next(row for row in ROWS if row.target == "T50")
    empty = validate(machine_rows())
    outcome = replace(empty.outcomes[0], row=generation, target=TARGETS["T50"])
    assert case_of(outcome) == "llama-3-8b generate, in 128, out 128"


def test_an_unknown_set_is_refused_with_the_nearest() -> None:
    with pytest.raises(OptionError, match="did you mean generation"):
        select(ROWS, ["generatoin"])


def called(*arguments: str) -> int:
    with pytest.raises(SystemExit) as end:
        main(["validate", *arguments])
    return int(end.value.code or 0)


def test_the_json_has_errors_limits_and_totals_in_si_units(capsys: pytest.CaptureFixture[str]) -> None:
    assert called("--set", "machine", "--set", "intensity", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    by_id = {row["id"]: row for row in found["rows"] if row["main"]}
    assert by_id["T01"]["unit"] == "FLOP/s" and isclose(by_id["T01"]["published"], 638e12)
    assert by_id["T05"]["limits"] == [{"limit": "exact", "holds": True}]
    assert by_id["T05"]["factor"] == max(1 + by_id["T05"]["error"], 1 / (1 + by_id["T05"]["error"]))
    assert by_id["T05"]["error"] == by_id["T05"]["predicted"] / by_id["T05"]["published"] - 1
    assert found["broken"] == 0
    assert found["totals"]["all"]["rows"] == 5
    assert found["totals_by_set"]["intensity"]["rank_correlation"] == pytest.approx(1.0)
    assert (found["groups"], found["band"]) == ([], 1.5)
    assert {"path", "value", "note", "chosen_by"} == found["assumed"][0].keys()


def test_a_broken_limit_ends_with_1_and_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = [replace(row, limits=(Shares(0.0, 1.0),)) for row in machine_rows()]
    monkeypatch.setattr(published_rows, "ROWS", tuple(broken))
    assert called() == 1
    assert "broken: T02" in capsys.readouterr().out


def test_update_touches_only_what_is_between_the_markers() -> None:
    validation: Validation = validate(machine_rows())
    page = updated(f"before\n{BEGIN}\nstale tables\n{END}\nafter\n", validation)
    assert page.startswith("before\n") and page.endswith("after\n")
    assert "stale" not in page and "| T02 |" in page
    assert updated(page, validation) == page


def test_update_refuses_a_page_without_markers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "page.md"
    page.write_text("no place here\n")
    assert called("--update", str(page)) == 2
    assert "has no markers" in capsys.readouterr().err
    assert page.read_text() == "no place here\n"


def test_a_plot_has_a_mark_for_every_main_row_and_is_the_same_twice(tmp_path: Path) -> None:
    picture = tmp_path / "validation.svg"
    assert called("--set", "machine", "--set", "intensity", "--plot", str(picture)) == 0
    drawn = picture.read_bytes()
    assert all(f">{name}</text>".encode() in drawn for name in ("T01", "T02", "T03", "T04", "T05"))
    assert validation_svg(validate((*machine_rows(), *select(ROWS, ["intensity"])))) == drawn


def test_a_picture_without_matplotlib_names_the_extra(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert called("--set", "machine", "--plot", "picture.svg") == 2
    assert "rdusim[plot]" in capsys.readouterr().err


def test_a_plot_names_the_points_beyond_the_band_and_what_the_marks_mean() -> None:
    drawn = validation_svg(fusion({"T16": 1.6}))
    named = re.findall(rb">(T\d\d|calibrated|predicted)</text>", drawn)
    assert named.count(b"T16") == 2 and named.count(b"T17") == 1, "beside its point, and below its column"
    assert {b"calibrated", b"predicted"} <= set(named)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--plot", "picture.png"), "ends in .svg"),
        (("--set", "engines", "--plot", "picture.svg"), "no picture of engines"),
        (("--set", "dram", "--set", "fusion"), "ask for it alone"),
    ],
)
def test_a_picture_that_cannot_be_made_is_refused_before_the_work(
    arguments: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert called(*arguments) == 2
    assert said in capsys.readouterr().err


def test_the_wheel_carries_the_targets(tmp_path: Path) -> None:
    wheel_builder = pytest.importorskip("hatchling.builders.wheel", reason="needs the dev extra")
    wheel = next(iter(wheel_builder.WheelBuilder(str(ROOT)).build(directory=str(tmp_path), versions=["standard"])))
    with ZipFile(wheel) as archive:
        assert "rdusim/baselines/targets.csv" in archive.namelist()
