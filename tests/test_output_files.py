"""Where `--output` writes: whole files, through links, and into what is no file."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from rdusim.cli import main
from rdusim.cli.output import write_file
from rdusim.errors import OptionError


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    target, link = tmp_path / "a.json", tmp_path / "b.json"
    target.write_text("old")
    link.symlink_to(target)
    write_file(link, b"new")
    assert link.is_symlink()
    assert target.read_text() == "new"


def test_a_pipe_is_written_to_and_stays(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read: list[bytes] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_bytes()))
    reader.start()
    write_file(pipe, b"new")
    reader.join(timeout=5)
    assert read == [b"new"]
    assert pipe.is_fifo()


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "a.json"
    file.write_text("old")

    def full(self: Path, content: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OptionError, match="No space left"):
        write_file(file, b"new")
    assert file.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.json"]


@pytest.mark.parametrize(
    ("command", "flag", "name", "message"),
    [
        (("run",), "--report", "x.pdf", "what is written is .html or .htm"),
        (("compare", "--with", "unfused"), "--report", "x.pdf", "what is written is .html or .htm"),
        (("sensitivity", "--parameter", "launch.*"), "--report", "x", "what is written is .html or .htm"),
        (("sweep", "--vary", "batch=1,2", "--no-store"), "--report", "x.pdf", "what is written is .html or .htm"),
        (("sensitivity", "--parameter", "launch.*"), "--plot", "x.png", "what is written is .svg"),
        (("compare", "--with", "unfused"), "--output", "x.csv", "nothing is written as .csv"),
        (("run",), "--output", "x.html", "nothing is written as .html"),
        (("sensitivity", "--parameter", "launch.*"), "--output", "x.parquet", ".json, .csv, or .txt"),
    ],
)
def test_a_name_that_promises_another_form_is_refused_before_the_work(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: tuple[str, ...], flag: str, name: str, message: str
) -> None:
    first, *others = command
    with pytest.raises(SystemExit) as end:
        main([first, "toy-mlp", "--arch", "toy", *others, flag, str(tmp_path / name)])
    told = capsys.readouterr()
    assert (end.value.code, told.out) == (2, "")
    assert message in told.err and f"{flag}: " in told.err and told.err.count("\n") == 1
    assert not list(tmp_path.iterdir())
