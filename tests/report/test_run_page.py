from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from rdusim.arch.load import load_arch
from rdusim.arch.show import Row, show_arch
from rdusim.arch.types import Arch
from rdusim.cli import main
from rdusim.mapping.types import Mapping
from rdusim.pipeline import Cache, RunRequest, answer
from rdusim.pipeline.pictures import command_of, pictures
from rdusim.report.floorplan import floorplan
from rdusim.report.generation import generation
from rdusim.report.html.drawing import inline
from rdusim.report.memory_map import memory_map
from rdusim.report.roofline import ceilings_of, roof_points
from rdusim.report.run_page import Picture, run_page
from rdusim.report.types import PlanUse, Report, Spill, SpilledSymbol
from rdusim.sim.trace import Trace
from tests.graph.tiny_models import LLAMA, write
from tests.report.page_checks import MOST_BYTES, check_in_browser, check_page, data, parsed

Paged = Callable[..., str]
NASTY = 'a <b> & "c"'


@pytest.fixture
def paged(report: Report, arch: Arch, mapping: Mapping, trace: Trace) -> Paged:
    """The page of the small report, or of another."""

    def make(shown: Report = report, **more: object) -> str:
        plans = [
            Picture(name=mapped.section.name, said="50%", svg=floorplan(mapped, arch, title="toy", brief=True))
            for mapped in mapping.sections
        ]
        maps = [Picture(name="toy", said="100%", svg=memory_map(mapping, arch, title="toy", trace=trace))]
        given = {
            "ceilings": ceilings_of(arch, "bf16", 2),
            "command": "rdusim run toy",
            "machine": show_arch("sn40l", ("socket.memory.hbm.latency=1us",)),
            "floorplans": plans,
            "memory_maps": maps,
        }
        return run_page(shown, **(given | more))  # type: ignore[arg-type]

    return make


def generated(report: Report) -> Report:
    decode = {context: replace(report) for context in (11, 21, 31)}
    setting = replace(report.setting, phase="generate", output_tokens=22)
    return generation(report, decode, setting, tokens=44, peak_flops=None)


def test_a_page_is_alone_and_told_in_words(paged: Paged) -> None:
    check_page(paged())


def test_every_section_is_a_point_for_each_way_that_it_moves_bytes_over(report: Report, paged: Paged) -> None:
    points = [each for each in parsed(paged()).iter("g") if each.get("class") == "pt"]
    said = [each.get("aria-label") or "" for each in points]
    for number, section in enumerate(report.sections, start=1):
        for way in section.moved_bytes:
            assert sum(label.startswith(f"{number} {section.name}, over {way}: ") for label in said) == 1
    assert len(points) == sum(len(section.moved_bytes) for section in report.sections)
    assert all(each.get("tabindex") == "0" for each in points)


def test_roofline_points_lie_below_their_ceilings(report: Report, arch: Arch) -> None:
    ceilings = ceilings_of(arch, "bf16", 2)
    assert ceilings.flops_per_second == 4 * 128 * 2 * 1e6
    assert ceilings.bytes_per_second["hbm"] == 1e6 and ceilings.bytes_per_second["p2p"] > 0
    points = roof_points(report.sections)
    decoder = next(point for point in points if point.way == "hbm")
    assert decoder.flops_per_byte == 4e6 / 3200 and decoder.flops_per_second == 4e6 / 4.4e-3
    assert decoder.share == pytest.approx(0.8)
    for point in points:
        assert point.bytes <= ceilings.bytes_per_second[point.way] * point.section.seconds
    assert "p2p" not in ceilings_of(arch, "bf16", 1).bytes_per_second


def test_numbers_of_the_page_are_those_of_the_report(report: Report, paged: Paged) -> None:
    told = data(paged())
    assert told["m-total_seconds"] == [report.latency.total_seconds]
    assert told["m-tokens_per_second"] == [report.throughput.tokens_per_second]
    assert told["m-model_flops_utilization"] == [report.throughput.model_flops_utilization]
    assert told["m-flops_per_byte"] == [report.operational_intensity.flops_per_byte]
    assert told["s-seconds"] == [section.seconds for section in report.sections]
    for cause, seconds in report.breakdown_seconds.items():
        assert told[f"b-{cause}"] == [seconds]
    for tier in report.memory:
        assert told[f"t-{tier.tier}-peak"] == [tier.peak_bytes]
    assert told["r-intensity"] == [point.flops_per_byte for point in roof_points(report.sections)]


def test_the_same_report_gives_the_same_bytes_however_long_it_took(report: Report, paged: Paged) -> None:
    slow = replace(report, simulator=replace(report.simulator, wall_seconds=12.5))
    assert paged() == paged() == paged(slow)


def test_names_cannot_break_the_page(report: Report, paged: Paged) -> None:
    sections = tuple(replace(section, name=f"{NASTY} {section.name}") for section in report.sections)
    setting = replace(report.setting, model=NASTY)
    text = paged(
        replace(report, sections=sections, setting=setting, notes=(NASTY,)),
        command=NASTY,
        machine=[Row("a.b", NASTY, NASTY, f"assumed: {NASTY}")],
    )
    check_page(text)
    said = "".join(parsed(text).itertext())
    assert f"1 {NASTY} decoder" in said and f"{NASTY}, decode on tiny" in said


def test_what_is_assumed_of_the_machine_is_marked_and_counted(paged: Paged) -> None:
    rows = show_arch("sn40l", ("socket.memory.hbm.latency=1us",))
    assumed = sum(row.note.startswith("assumed") for row in rows)
    text = paged()
    assert text.count('<span class="flag">assumed</span>') == assumed > 10
    assert f"{len(rows)} parameters, of which {assumed} are assumed" in text
    assert "Changed by --set: socket.memory.hbm.latency = 1 us" in text or "socket.memory.hbm.latency = 1us" in text


def test_a_generation_has_its_context_and_its_phases(report: Report, paged: Paged) -> None:
    text = paged(generated(report))
    check_page(text)
    keys = {each.get("id") for each in parsed(text).iter("title")}
    assert {"context-t", "phases-t"} <= keys
    assert "context-t" not in paged()


def test_spill_and_plans_have_tables_where_there_are_any(report: Report, paged: Paged) -> None:
    symbol = SpilledSymbol(name="w", role="kv_cache", tier="ddr", bytes=10, transfer_bytes=20, repeats=1, of_repeats=4)
    spill = Spill(bytes=10, transfer_bytes=20, symbols=(symbol,) * 50, seconds_if_near=1e-3, added_seconds=4.5e-3)
    plans = (
        PlanUse(parallelism={"tp": 2}, total_seconds=5.5e-3, bound_by="hbm"),
        PlanUse(parallelism={"pp": 2}, at_least_seconds=6e-3),
        PlanUse(parallelism={"ep": 2}, refused=NASTY),
    )
    text = paged(replace(report, spill=spill, plans=plans))
    check_page(text)
    said = "".join(parsed(text).itertext())
    assert "takes 4.50 ms longer" in said and "10 more symbols" in said and "1 of 4" in said
    assert "at least 6.00 ms" in said and f"refused: {NASTY}" in said


def test_a_run_without_arithmetic_or_traffic_has_a_page(report: Report, paged: Paged) -> None:
    still = tuple(replace(section, flops=0.0, moved_bytes={}) for section in report.sections)
    check_page(paged(replace(report, sections=still), machine=(), floorplans=(), memory_maps=(), command=""))
    idle = tuple(replace(section, flops=0.0) for section in report.sections)
    text = paged(replace(report, sections=idle))
    check_page(text)
    assert "they compute nothing: decoder, head" in text


def test_drawings_keep_their_colours_and_names_to_themselves(arch: Arch, mapping: Mapping) -> None:
    drawn = floorplan(mapping.sections[0], arch, title="toy", brief=True)
    one, other = (inline(drawn, key, "a floorplan", "of a toy") for key in ("drawing1", "drawing2"))
    names = {
        name for each in parsed(f"<!DOCTYPE html>\n{one}").iter() for name in (each.get("class") or "").split()[:1]
    }
    assert names - {"chart"} and all(name.startswith("drawing1-") for name in names - {"chart"})
    assert one.replace("drawing1", "drawing2") == other
    assert "@media(" not in one and "@media screen and (prefers-color-scheme:dark)" in one


def test_a_brief_floorplan_has_every_unit_and_a_tenth_of_the_elements(arch: Arch, mapping: Mapping) -> None:
    whole, brief = (floorplan(mapping.sections[0], arch, title="toy", brief=brief) for brief in (False, True))
    units = arch.socket.pcus + arch.socket.pmus
    assert whole.count('<use href="#c"') + whole.count('<use href="#m"') == units
    assert brief.count("h18v18h-18z") == arch.socket.pcus
    assert brief.count("a8 8 0 1 1 16 0") == arch.socket.pmus
    assert brief.count("<use") == 1 + arch.socket.tiles


# -- of whole runs ---------------------------------------------------------------------------------------------------


WIDE = {"hidden_size": 512, "intermediate_size": 1024, "num_hidden_layers": 2}
RUNS = {
    "decode": {},
    "generate": {"phase": "generate", "input_tokens": 16, "output_tokens": 5},
    "pipeline": {"phase": "prefill", "input_tokens": 32, "parallel": "pp=2", "sockets": 2, "batch": 2},
    "train": {"phase": "train", "input_tokens": 16},
    "auto": {"parallel": "auto", "sockets": 2},
    "unfused": {"fusion": "unfused"},
    "draft": {"draft": "MODEL", "acceptance_rate": 0.7},
    "spill": {"overrides": ("socket.memory.hbm.capacity=1MiB",)},
}


@pytest.mark.parametrize("kind", RUNS)
def test_every_kind_of_run_has_a_page(kind: str, tmp_path: Path) -> None:
    model = write(tmp_path, LLAMA | WIDE if kind == "spill" else LLAMA)
    own = {name: str(model) if value == "MODEL" else value for name, value in RUNS[kind].items()}
    lengths = {} if "phase" in own else {"context_tokens": 32}
    request = RunRequest(model=str(model), **lengths, **own)  # type: ignore[arg-type]
    cache = Cache()
    report = answer(request, cache=cache)
    assert (report.spill is not None) == (kind == "spill")
    made = len(cache.made)
    plans, maps = pictures(request, report, cache=cache, observe=lambda _: None)
    assert len(cache.made) == made, "drawing simulates nothing again"
    ceilings = ceilings_of(
        load_arch(request.arch, request.overrides), report.setting.dtype, report.setting.sockets_used
    )
    text = run_page(report, ceilings=ceilings, floorplans=plans, memory_maps=maps)
    check_page(text)
    assert plans and maps and len(text) < MOST_BYTES
    points = sum(each.get("class") == "pt" for each in parsed(text).iter("g"))
    assert points == len(roof_points(report.sections)) >= len(report.sections) > 0


def test_the_command_line_of_a_request_says_what_is_not_default() -> None:
    request = RunRequest(
        model="my model", batch=4, kernel_looping=True, overrides=("a=1", "b=2"), routing_skew=0.5, cut_after=("x",)
    )
    assert command_of("run", request, "--report", "a.html") == (
        "rdusim run 'my model' --batch 4 --routing-skew 0.5 --cut-after x --kernel-looping --set a=1 --set b=2 "
        "--report a.html"
    )


def test_run_writes_the_page_beside_its_answer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pages = []
    for folder in (tmp_path / "a", tmp_path / "b"):
        folder.mkdir()
        with pytest.raises(SystemExit) as end:
            main(["run", "toy-mlp", "--arch", "toy", "--report", str(folder / "toy.html")])
        assert not end.value.code
        pages.append((folder / "toy.html").read_bytes())
        assert "Where the time goes" in capsys.readouterr().out
    assert pages[0] == pages[1]
    check_page(pages[0].decode())
    assert b"rdusim run toy-mlp --arch toy --report toy.html" in pages[0]


def test_a_page_that_cannot_be_written_is_refused_before_the_work(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    refused = {
        ("no-such-model", "--report", str(tmp_path / "no" / "x.html")): "no folder",
        ("toy-mlp", "--check-numbers", "--report", str(tmp_path / "x.html")): "--report: --check-numbers times nothing",
    }
    for arguments, said in refused.items():
        with pytest.raises(SystemExit) as end:
            main(["run", *arguments])
        assert end.value.code == 2 and said in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_many_points_can_be_passed(report: Report, paged: Paged) -> None:
    sections = tuple(replace(report.sections[0], name=f"decoder.{number}") for number in range(10))
    text = paged(replace(report, sections=sections))
    check_page(text)
    assert "Past 20 points, to the numbers" in text and "Past" not in paged()


def test_chromium_shows_a_run(chromium: str, report: Report, paged: Paged, tmp_path: Path) -> None:
    check_in_browser(chromium, paged(generated(report)), tmp_path)
