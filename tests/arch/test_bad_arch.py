"""Bad machine files: every problem, at its place, with the way out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rdusim.arch.check import check
from rdusim.arch.load import load_arch
from rdusim.arch.source import read_table
from rdusim.errors import ArchError
from rdusim.shipped import shipped

TOY = (shipped("arch") / "toy.yaml").read_text()


def problems(path: Path | str, overrides: tuple[str, ...] = ()) -> list[str]:
    """What is wrong, one a line, without the folder."""
    with pytest.raises(ArchError) as caught:
        load_arch(path, overrides)
    return str(caught.value).replace(f"{Path(path).parent}/", "").splitlines()


def write(folder: Path, text: str | bytes, name: str = "bad") -> Path:
    path = folder / f"{name}.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def extended(folder: Path, text: str) -> list[str]:
    """Problems of a file that lays `text` over the toy; its first line is line 4."""
    return problems(write(folder, f"schema: rdusim-arch/1\nname: bad\nextends: toy\n{text}"))


def test_all_problems_of_a_file_come_at_once_from_top_to_bottom(tmp_path: Path) -> None:
    text = """\
color: red
socket:
  clock: 1e9
  dies: 0
  dies: 2
  placeable: 1.5
  tile:
    rows: 12:30
    cols: -4
    pcu:
      lanez: 4
      macs_per_cycle: {bf16: 24, fp99: 16}
    pmu: 64 KiB
    agcu:
      streams: {a: 1}
      request_size: [64]
    rdn:
      hop_cycles:
      credits: on
  memory:
    hbm:
      bandwidth: 1.8 TB
      capacity: 64
      timing: {row: 100 B, refresh_time: 1 s}
      latency: -1 ns
    nvm: null
system:
  topology: off
"""
    assert extended(tmp_path, text) == [
        "bad.yaml:4:1: color: unknown field (fields here: name, socket, system, launch)",
        "bad.yaml:6:10: socket.clock: '1e9' has no unit: a frequency is written like '1.2 GHz'",
        "bad.yaml:7:9: socket.dies: '0' must be greater than zero",
        "bad.yaml:8:3: socket.dies: duplicate key (first given in line 7)",
        "bad.yaml:9:14: socket.placeable: '1.5' must be at most 1 (it is a share, such as 0.9)",
        "bad.yaml:11:11: socket.tile.rows: '12:30' is not a whole number without unit, such as 16",
        "bad.yaml:12:11: socket.tile.cols: '-4' must be greater than zero",
        "bad.yaml:14:7: socket.tile.pcu.lanez: unknown field (did you mean lanes?)",
        "bad.yaml:15:30: socket.tile.pcu.macs_per_cycle.bf16: 24 is neither a multiple nor a divisor of the "
        "4 x 4 = 16 accumulators (change it, systolic_rows or systolic_cols)",
        "bad.yaml:15:40: socket.tile.pcu.macs_per_cycle.fp99: unknown number format "
        "(known: fp32, bf16, fp16, fp8, int32, int8, bool)",
        "bad.yaml:16:10: socket.tile.pmu: '64 KiB' stands where a group of fields is wanted",
        "bad.yaml:18:7: socket.tile.agcu.streams: a group of fields stands where a whole number without unit, "
        "such as 16 is wanted",
        "bad.yaml:19:21: socket.tile.agcu.request_size: a list is not expected here (use 'name: value' entries)",
        "bad.yaml:21:18: socket.tile.rdn.hop_cycles: the key has no value",
        "bad.yaml:22:16: socket.tile.rdn.credits: 'on' is not a whole number without unit, such as 16",
        "bad.yaml:25:18: socket.memory.hbm.bandwidth: '1.8 TB' is a size; a bandwidth is wanted, such as '1.8 TB/s'",
        "bad.yaml:26:17: socket.memory.hbm.capacity: '64' has no unit: a size is written like '64 GiB'",
        "bad.yaml:27:21: socket.memory.hbm.timing.row: a row of 100 B is no whole number of 64 B bursts "
        "(make it a multiple of burst)",
        "bad.yaml:27:42: socket.memory.hbm.timing.refresh_time: a refresh lasts 1.00 s and is due every 1.00 us: no "
        "time is left to transfer (it must be shorter than refresh_interval)",
        "bad.yaml:28:16: socket.memory.hbm.latency: '-1 ns' must not be negative",
        "bad.yaml:29:10: socket.memory.nvm: null, but there is nothing to take away here",
        "bad.yaml:31:13: system.topology: 'off' is read as bool by YAML, not as text "
        '(quote it if it is meant: "off")',
    ]


def test_a_missing_field_is_told_at_the_group_that_lacks_it(tmp_path: Path) -> None:
    found = problems(write(tmp_path, TOY.replace("    banks: 4 ", "    # ")))
    line = TOY.splitlines().index("    pmu:") + 1
    assert found == [f"bad.yaml:{line}:5: socket.tile.pmu.banks: missing field"]


def test_an_empty_machine_lacks_everything(tmp_path: Path) -> None:
    assert problems(write(tmp_path, "schema: rdusim-arch/1\nname: bad\n")) == [
        "bad.yaml:1:1: socket: missing field",
        "bad.yaml:1:1: system: missing field",
        "bad.yaml:1:1: launch: missing field",
    ]


@pytest.mark.parametrize("change", ["ddr: {bandwidth: 200 GB/s}", "ddr: {capacity: 1 MiB}"])
def test_tiers_out_of_order_are_refused(tmp_path: Path, change: str) -> None:
    (problem,) = extended(tmp_path, f"socket:\n  memory:\n    {change}\n")
    assert problem.startswith("bad.yaml:6:5: socket.memory.ddr: tiers are out of order: ddr (")
    assert "list the nearest first" in problem


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("socket.tile.pcu.systolic_rows=3", "is neither a multiple nor a divisor of the 3 x 4 = 12 accumulators"),
        ("socket.tile.pcu.lanes=3", "8 B cannot be shared evenly by 3 lanes"),
        ("socket.tile.pmu.banks=3", "3 banks do not divide the capacity of 64 KiB"),
        ("socket.tile.pmu.capacity=16 B", "16 B in 4 banks is less than one vector (8 B) a bank"),
        ("socket.tile.agcu.streams=101", "101 streams share only 100 outstanding requests"),
        ("socket.memory.hbm.timing.burst=2KiB", "a row of 1 KiB is no whole number of 2 KiB bursts"),
        ("socket.memory.hbm.timing.refresh_time=1us", "a refresh lasts 1.00 us and is due every 1.00 us"),
        ("socket.memory.hbm.bandwidth=2TB/s", "2.00 TB/s is more than 1 x 16 banks (channels x banks) can deliver"),
        ("socket.memory.hbm.capacity=8KiB", "8 KiB is less than one row in every bank (16 KiB)"),
        ("socket.placeable=0.01", "0.01 of 8 PMUs is less than one"),
    ],
)
def test_fields_that_contradict_each_other_are_refused(override: str, message: str) -> None:
    found = problems("toy", (override,))
    assert message in " ".join(found)


def test_a_machine_made_in_python_is_checked_by_the_same_invariants() -> None:
    toy = load_arch("toy")
    hbm, ddr = toy.socket.memory
    pcu = replace(toy.socket.tile.pcu, macs_per_cycle={"fp32": 4})
    wrong = replace(
        toy.socket, placeable=1.5, memory=(ddr, hbm), tile=replace(toy.socket.tile, pcu=pcu, rows=1, cols=1)
    )
    fields = [problem.field for problem in check(replace(toy, socket=wrong))]
    assert fields == ["socket.placeable", "socket.tile.rows", "socket.tile.pcu.macs_per_cycle", "socket.memory.hbm"]
    none = check(replace(toy, socket=replace(toy.socket, memory=())))
    assert [str(problem) for problem in none] == ["socket.memory: a socket needs at least one memory tier"]


@pytest.mark.parametrize(
    ("timing", "message"),
    [
        (
            "hbm2",
            "bad.yaml:4:33: socket.memory.hbm.timing: there is no timing 'hbm2' (did you mean hbm2e? "
            "known: ddr4-3200, ddr5-6400, hbm2e, hbm3; or write out the values of arch.DramTiming)",
        ),
        ("{preset: [hbm3]}", "bad.yaml:4:42: socket.memory.hbm.timing.preset: a list is not expected here"),
        ("{preset: {a: 1}}", "bad.yaml:4:34: socket.memory.hbm.timing.preset: a name is wanted (one of ddr4-3200, "),
        ("{preset: hbm3, row_cycel: 1 ns}", "bad.yaml:4:48: socket.memory.hbm.timing.row_cycel: unknown field (did"),
        ("{preset: hbm3, precharge: -1 ns}", "socket.memory.hbm.timing.precharge: '-1 ns' must not be negative"),
        ("{preset: hbm3, row_cycle: 20 ns}", "20.0 ns (tRC) has no room for 15.0 ns (tRCD) and 15.0 ns (tRP)"),
        ("{preset: hbm3, bank_groups: 3}", "bad.yaml:4:61: socket.memory.hbm.timing.bank_groups: 3 bank groups do not"),
        ("{preset: hbm3, row_to_row: 3 ns}", "2.50 ns within a bank group (tRRD_L) is less than 3.00 ns between two"),
        ("{preset: hbm3, four_activates: 5 us}", "a window of 5.00 us (tFAW) is longer than from refresh to refresh"),
        ("{preset: hbm3, write_batch: 8 B}", "a batch of 8 B is less than a burst"),
        ("{preset: hbm3, queue: 0}", "socket.memory.hbm.timing.queue: '0' must be greater than zero"),
    ],
)
def test_a_timing_that_is_not_known_or_contradicts_itself_is_told(tmp_path: Path, timing: str, message: str) -> None:
    (problem,) = extended(tmp_path, f"socket: {{memory: {{hbm: {{timing: {timing}}}}}}}\n")
    assert message in problem


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("schema: rdusim-arch/1\nname: [", "bad.yaml:3:1: broken YAML: while parsing a flow node"),
        ("a: b: c", "bad.yaml:1:5: broken YAML: mapping values are not allowed in this context"),
        ("a: 1\n\tb: 2", "bad.yaml:2:1: broken YAML: "),
        ("a: 1\nb: \0", "bad.yaml:2: broken YAML: control characters are not allowed"),
        ("a: 1\n---\nb: 2\n", "bad.yaml:2:1: broken YAML: expected a single document"),
        (b"\xff\xfe\xfa", "bad.yaml: not UTF-8 text: byte 0 is 0xff"),
        ("", "bad.yaml:1:1: the file is empty"),
        ("just text", "bad.yaml:1:1: the file holds no fields (write 'key: value' lines)"),
        ("[" * 100_000, "bad.yaml:1:1: the YAML is nested too deeply"),  # libyaml would overrun the stack
    ],
)
def test_a_file_that_is_no_yaml_has_this_one_problem(tmp_path: Path, text: str | bytes, message: str) -> None:
    (problem,) = problems(write(tmp_path, text))
    assert problem.startswith(message)


def test_an_alias_is_refused_even_when_it_contains_itself(tmp_path: Path) -> None:
    found = extended(tmp_path, "socket: &a\n  tile: *a\n")
    assert "socket.tile: aliases (*name) are not supported" in found[0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: bad\nextends: toy\n", "bad.yaml:1:1: schema: missing field (write 'schema: rdusim-arch/1' as the"),
        ("schema: rdusim-arch/2\nname: bad\nextends: toy\n", "bad.yaml:1:9: schema: 'rdusim-arch/2' is not a schema"),
        ("name: bad\nschema: rdusim-arch/1\nextends: toy\n", "bad.yaml:2:9: schema: must be the first key"),
        ("schema: rdusim-arch/1\nextends: toy\n", "bad.yaml:1:1: name: missing field"),
        ("schema: rdusim-arch/1\nname: a b\nextends: toy\n", "bad.yaml:2:7: name: 'a b' is not a name"),
        ("schema: rdusim-arch/1\nname: bad\nextends: {a: 1}\n", "bad.yaml:3:1: extends: a name is wanted"),
        ("schema: rdusim-arch/1\nname: bad\nextends: toi\n", "bad.yaml:3:10: extends: there is no machine 'toi'"),
        ("schema: rdusim-arch/1\nname: bad\nextends: bad\n", "bad.yaml:3:10: extends: machines extend each other in"),
    ],
)
def test_the_head_of_a_file_is_checked(tmp_path: Path, text: str, message: str) -> None:
    (problem,) = problems(write(tmp_path, text))
    assert problem.startswith(message)


def test_a_circle_of_extends_is_named(tmp_path: Path) -> None:
    write(tmp_path, "schema: rdusim-arch/1\nname: b\nextends: a\n", "b")
    a = write(tmp_path, "schema: rdusim-arch/1\nname: a\nextends: b\n", "a")
    assert problems(a) == ["b.yaml:3:10: extends: machines extend each other in a circle: a -> b -> a"]


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("socket.clok=2GHz", "there is no such value (did you mean socket.clock?)"),
        ("hbm.bandwidth=3TB/s", "there is no such value (did you mean socket.memory.hbm.bandwidth?)"),
        ("socket.clock.hz=3", "there is no such value (did you mean socket.clock?)"),
        ("socket.clock", "not of the form path=value (such as socket.clock=1.5GHz)"),
        ("system.link=3", "system.link is a group, not a value (name one of its fields: bandwidth, latency)"),
        ("socket.clock=3", "socket.clock: '3' has no unit: a frequency is written like '1.2 GHz'"),
        ("socket.dies=two", "socket.dies: 'two' is not a whole number without unit, such as 16"),
    ],
)
def test_an_override_that_cannot_be_is_told_with_the_nearest_path(override: str, message: str) -> None:
    assert problems("toy", (override,)) == [f"--set {override}: {message}"]


def test_a_file_that_is_not_there_or_not_a_file_is_told(tmp_path: Path) -> None:
    assert problems(tmp_path / "none.yaml") == ["none.yaml: cannot be read: No such file or directory"]
    assert problems(tmp_path)[0].endswith("cannot be read: Is a directory")


@given(st.text(alphabet="ab: -#\n\t[]{}&*!|>'\"%@`,?\\0~é\x85", max_size=60))
def test_no_text_makes_the_reader_stumble(text: str) -> None:
    table, wrong = read_table(text, "any.yaml")
    assert table.items or table.keys or wrong or "{" in text


@given(st.integers(0, TOY.count("\n")), st.text(alphabet="abc: -#1{}[]\n", max_size=12))
def test_a_damaged_machine_file_is_a_machine_or_an_arch_error(
    tmp_path_factory: pytest.TempPathFactory, line: int, junk: str
) -> None:
    lines = TOY.splitlines()
    lines[line:line] = [junk]
    path = write(tmp_path_factory.getbasetemp(), "\n".join(lines), "damaged")
    try:
        wrong = check(load_arch(path))
    except ArchError as error:
        wrong = [problem for problem in error.problems if problem.file != str(path)]
    assert wrong == []
