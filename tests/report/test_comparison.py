"""Differences are exact: causes sum to the totals, and parts meet the parts of the other run that they stand for."""

from __future__ import annotations

from dataclasses import replace
from math import isclose

from hypothesis import given
from hypothesis import strategies as st

from rdusim.report.comparison import GPU, RDU, Part, Variant, difference, parts_of
from rdusim.report.reasons import reasons
from rdusim.report.types import Intensity, Latency, Report, Setting, Simulator, Throughput

_REPORT = Report(
    setting=Setting(model="toy", arch="tiny", sockets=1, sockets_used=1, phase="decode", batch=1, engine="steady"),
    latency=Latency(total_seconds=1.0),
    throughput=Throughput(
        tokens_per_second=1.0, tokens_per_second_per_user=1.0, flops_per_second=1.0, model_flops_utilization=None
    ),
    memory=(),
    units=(),
    links=None,
    sections=(),
    kernel_launches=1,
    breakdown_seconds={"hbm": 1.0},
    operational_intensity=Intensity(flops=1.0, bytes=1.0),
    notes=(),
    simulator=Simulator(version="0"),
)
CAUSES = ("compute", "hbm", "ddr", "collective", "launch", "fill_drain")


def part(name: str, launches: int = 1, **causes: float) -> Part:
    return Part(name=name, launches=launches, seconds=sum(causes.values()), breakdown_seconds=causes)


def variant(report: Report, name: str, *parts: Part) -> Variant:
    """A run that consists of these parts."""
    causes: dict[str, float] = {}
    for each in parts:
        for cause, seconds in each.breakdown_seconds.items():
            causes[cause] = causes.get(cause, 0.0) + seconds
    latency = replace(report.latency, total_seconds=sum(causes.values()))
    return Variant(
        name=name, kind=RDU, report=replace(report, latency=latency, breakdown_seconds=causes), parts=tuple(parts)
    )


breakdowns = st.dictionaries(st.sampled_from(CAUSES), st.floats(1e-9, 10.0), min_size=1)
runs = st.dictionaries(
    st.sampled_from(("embedding", "decoder", "decoder.0", "decoder.1", "decoder/mix", "decoder/mul", "stage 0/head")),
    breakdowns,
    min_size=1,
)


@given(first=runs, here=runs)
def test_the_differences_of_the_causes_sum_to_the_difference_of_the_totals(
    first: dict[str, dict[str, float]], here: dict[str, dict[str, float]]
) -> None:
    one, other = (
        variant(_REPORT, name, *(part(each, **causes) for each, causes in run.items()))
        for name, run in (("one", first), ("other", here))
    )
    found = difference(one, other)
    scale = one.report.latency.total_seconds + other.report.latency.total_seconds
    assert isclose(sum(each.change_seconds for each in found.causes), found.change_seconds, abs_tol=1e-9 * scale)
    assert isclose(sum(each.change_seconds for each in found.parts), found.change_seconds, abs_tol=1e-9 * scale)
    for each in found.parts:
        assert isclose(sum(cause.change_seconds for cause in each.causes), each.change_seconds, abs_tol=1e-9 * scale), (
            each.name
        )


@given(run=runs)
def test_a_run_does_not_differ_from_itself(run: dict[str, dict[str, float]]) -> None:
    one = variant(_REPORT, "one", *(part(each, **causes) for each, causes in run.items()))
    found = difference(one, one)
    assert found.ratio == 1.0 and found.change_seconds == 0.0
    assert all(each.first == each.here for each in found.parts)


def test_kernels_of_a_block_meet_the_section_that_holds_the_block(report: Report) -> None:
    fused = variant(report, "fused", part("decoder", launches=32, hbm=2.0), part("head", hbm=1.0))
    kernels = (part("decoder/mix", 32, launch=3.0), part("decoder/mul", 32, launch=2.0), part("head/lm_head", hbm=1.0))
    found = {each.name: each for each in difference(fused, variant(report, "unfused", *kernels)).parts}
    assert found.keys() == {"decoder", "head"}
    decoder = found["decoder"]
    assert decoder.here is not None and decoder.here.launches == 64 and decoder.change_seconds == 3.0
    assert decoder.first is not None and (decoder.first.bound, decoder.here.bound) == ("hbm", "launch")


def test_sections_of_a_block_that_is_cut_otherwise_are_compared_as_a_block(report: Report) -> None:
    two = variant(report, "two", part("decoder.0", hbm=1.0), part("decoder.1", hbm=1.0))
    three = variant(report, "three", *(part(f"decoder.{number}", hbm=1.0) for number in range(3)))
    assert [each.name for each in difference(two, three).parts] == ["decoder"]
    assert {each.name for each in difference(two, two).parts} == {"decoder.0", "decoder.1"}


def test_stages_and_phases_that_the_other_run_has_not_go_with_its_blocks(report: Report) -> None:
    plain = variant(report, "plain", part("decoder.0", hbm=2.0), part("decoder.1", hbm=1.0), part("head", hbm=1.0))
    staged = variant(
        report,
        "pp=2",
        part("stage 0/decoder", hbm=2.0),
        part("stage 1/decoder", hbm=1.0),
        part("stage 1/head", hbm=1.0),
    )
    drafted = variant(report, "draft", part("draft/decoder", hbm=1.0), part("verify/decoder", hbm=1.0))
    assert {each.name: each.change_seconds for each in difference(plain, staged).parts} == {"decoder": 0.0, "head": 0.0}
    assert {each.name: each.change_seconds for each in difference(drafted, plain).parts} == {
        "decoder": 1.0,
        "head": 1.0,
    }
    whole = variant(report, "generate", part("prefill/decoder", hbm=1.0), part("decode/decoder", hbm=1.0))
    assert {each.name for each in difference(whole, whole).parts} == {"prefill/decoder", "decode/decoder"}


def test_a_part_that_the_other_run_has_not_stands_alone(report: Report) -> None:
    found = difference(variant(report, "a", part("head", hbm=1.0)), variant(report, "b", part("tail", hbm=2.0)))
    assert {(each.name, each.first is None, each.here is None) for each in found.parts} == {
        ("head", False, True),
        ("tail", True, False),
    }


def test_parts_of_a_report_take_all_its_time_and_name_what_would_bind_next(report: Report) -> None:
    parts = parts_of(report.sections)
    assert isclose(sum(each.seconds for each in parts), report.latency.total_seconds)
    for each, section in zip(parts, report.sections, strict=True):
        assert isclose(sum(each.breakdown_seconds.values()), section.seconds)
        assert each.bound == section.bottleneck
        following = each.next
        assert following is None or (following[0] != each.bound and 0.0 < following[1] <= 1.0)


def test_later_repeats_of_a_section_belong_to_it(report: Report) -> None:
    again = [replace(report.sections[0], name=f"{report.sections[0].name}{tail}") for tail in ("", " #2")]
    (joined,) = parts_of(again)
    assert joined.name == report.sections[0].name
    assert joined.launches == 2 * report.sections[0].repeats and joined.seconds == 2 * report.sections[0].seconds


def test_units_that_a_gpu_lacks_are_named_as_such(report: Report) -> None:
    rdu = variant(report, "rdu", part("decoder", agcu=2.0, fill_drain=1.0, hbm=1.0))
    gpu = replace(variant(report, "gpu", part("decoder", host=2.0, hbm=1.0)), kind=GPU)
    for first, here, change in ((rdu, gpu, "-2.00 s, to none"), (gpu, rdu, "+2.00 s, from none")):
        said = reasons(first, here, difference(first, here))
        assert f"agcu {change}: a GPU has no AGCUs" in said
        assert any(line.startswith("fill_drain ") and "a GPU has no stages" in line for line in said)
        assert not any("another program" in line or "through the AGCUs" in line for line in said)
    two = replace(rdu, name="two", report=variant(report, "two", part("decoder", agcu=1.0)).report)
    assert any("through the AGCUs" in line for line in reasons(rdu, two, difference(rdu, two)))
