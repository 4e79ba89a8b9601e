"""`report` takes the place of no file but its own, and an empty one."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from conftest import run_cli
from test_report import knowing

from edge_nusa.device.report import writing
from edge_nusa.device.report.page import MARK, html_report
from edge_nusa.device.report.writing import write_page
from edge_nusa.errors import InputError

PAGE = html_report(knowing([]), [], "micro", {}, 0)


def test_the_mark_is_at_the_beginning_of_every_page() -> None:
    assert MARK.encode() in PAGE.encode()[: writing.WHERE_THE_MARK_IS]


def test_a_report_an_empty_file_and_a_new_name_are_written(tmp_path: Path) -> None:
    for name, before in (("new.html", None), ("empty.html", b""), ("old.html", PAGE.replace("micro", "x").encode())):
        if before is not None:
            (tmp_path / name).write_bytes(before)
        write_page(tmp_path / name, PAGE)
        assert (tmp_path / name).read_text() == PAGE


def test_another_file_stays_and_one_line_says_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "thesis.html"
    late = b"<!DOCTYPE html>" + b" " * writing.WHERE_THE_MARK_IS + MARK.encode()
    for content in (b"x", b"<html>my own page</html>", late):
        path.write_bytes(content)
        with pytest.raises(InputError, match=r"thesis.html: expected no file, or a report of edge-nusa, .*--overwrite"):
            write_page(path, PAGE)
        assert path.read_bytes() == content
    write_page(path, PAGE, is_overwriting=True)
    assert path.read_text() == PAGE


def test_a_link_to_another_file_is_judged_by_that_file(tmp_path: Path) -> None:
    (tmp_path / "thesis.html").write_bytes(b"mine")
    (tmp_path / "report.html").symlink_to(tmp_path / "thesis.html")
    with pytest.raises(InputError, match="found another file"):
        write_page(tmp_path / "report.html", PAGE)
    assert (tmp_path / "thesis.html").read_bytes() == b"mine"


def test_a_pipe_is_written_into(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    try:
        write_page(tmp_path / "pipe", "short")
        assert os.read(reader, 100) == b"short"
    finally:
        os.close(reader)


def test_the_command_refuses_overwrites_when_told_and_writes_an_empty_states_page(tmp_path: Path) -> None:
    words = ("report", "--state", tmp_path / "none", "--format", "human", "--out", tmp_path / "a.html")
    (tmp_path / "a.html").write_text("mine")
    done = run_cli(*words)
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 1 and "use --overwrite" in done.stderr
    done = run_cli(*words, "--overwrite")
    assert (done.returncode, done.stdout) == (0, f"the report is in {tmp_path / 'a.html'}\n")
    page = (tmp_path / "a.html").read_text()
    assert "0 bytes" in page and "The first step" in page
    assert run_cli(*words).returncode == 0


def test_a_page_that_is_asked_for_is_written_where_a_setting_asks_for_json_too(tmp_path: Path, taught: Path) -> None:
    page = tmp_path / "page.html"
    done = run_cli("report", "--state", taught, "--out", page, env={"EDGE_NUSA_FORMAT": "json"})
    said = json.loads(done.stdout)
    assert "<html" in page.read_text() and said["generations"]
    assert json.loads(run_cli("report", "--state", taught, "--format", "json", cwd=tmp_path).stdout) == said
    assert not (tmp_path / "edge-nusa-report.html").exists()
    assert run_cli("report", "--state", taught, "--out", page).stdout == f"the report is in {page}\n"
