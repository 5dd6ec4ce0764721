"""The commands that read, on real runs and on files that no run has left whole."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest


@pytest.mark.usefixtures("failed_run")
def test_logs_are_lines_in_time_order(cli: Any) -> None:
    """Each with its level, its step, what it says and its own dimensions; a stack below its exception."""
    ran = cli("logs")
    lines = [line.partition("Z ")[2] for line in ran.stdout.splitlines() if line.startswith("20")]
    assert lines == [
        "INFO     train: loaded  rows=1000",
        "WARNING  train: slow fold",
        "CRITICAL train: Uncaught exception",
    ]
    assert ran.stdout.endswith("    ValueError: really bad batch\n")
    assert ran.stderr.startswith("amllog: run local_")


@pytest.mark.usefixtures("failed_run")
def test_logs_can_be_chosen(asked: Any) -> None:
    """By level, by step, by a text in message or stack."""
    assert [row["message"] for row in asked("logs", "--level", "warning")] == [
        "slow fold",
        "Uncaught exception",
    ]
    assert [row["message"] for row in asked("logs", "--contains", "BAD batch")] == ["Uncaught exception"]
    assert asked("logs", "--step", "other") == []
    assert len(asked("logs", "--step", "train")) == 3


@pytest.mark.usefixtures("failed_run")
def test_errors_are_bad_news(cli: Any, asked: Any) -> None:
    """The exception with its stack, and the step that failed, which comes last."""
    assert cli("errors").returncode == 1
    assert [(row["kind"], row.get("result")) for row in asked("errors")] == [
        ("exception", None),
        ("step", "uncaught exception"),
    ]


@pytest.mark.usefixtures("good_run")
def test_no_errors_are_good_news(cli: Any, asked: Any) -> None:
    """Nothing on stdout, a word on stderr, and 0."""
    ran = cli("errors")
    assert (ran.returncode, ran.stdout) == (0, "")
    assert ran.stderr.endswith("amllog: no errors\n")
    assert asked("errors") == []


@pytest.mark.usefixtures("good_run")
def test_metrics(cli: Any, asked: Any) -> None:
    """A line per metric, or every value; NaN too, which in strict JSON is a text."""
    table = cli("metrics").stdout.splitlines()
    assert [line.split() for line in table] == [
        ["step_name", "name", "count", "first", "last", "min", "max"],
        ["train", "loss", "2", "0.5", "0.25", "0.25", "0.5"],
        ["train", "odd", "1", "nan", "nan", "nan", "nan"],
    ]
    values = asked("metrics", "--values", "--name", "loss")
    assert [(row["step"], row["value"]) for row in values] == [(0, 0.5), (1, 0.25)]
    assert asked("metrics", "--name", "odd")[0]["last"] == "nan"


@pytest.mark.usefixtures("good_run")
def test_timeline_shows_what_lies_within_what(cli: Any) -> None:
    """The span in the step, and what was said during the span in the span."""
    shown = [line.partition("Z  ")[2] for line in cli("timeline").stdout.splitlines()]
    parts = [(len(line) - len(line.lstrip()), line.split(":")[0].strip()) for line in shown]
    assert parts == [
        (0, "step train"), (2, "span fit"), (4, "WARNING slow fold"), (2, "WARNING odd = NaN"), (2, "event"),
    ] or parts == [(0, "step train"), (2, "span fit"), (4, "WARNING slow fold"), (2, "event")]  # fmt: skip


@pytest.mark.usefixtures("good_run", "failed_run")
def test_runs_and_their_names(cli: Any, asked: Any) -> None:
    """The latest last; a run is named by its id, the beginning of it, `last` or `all`."""
    first, second = asked("runs")
    assert (first["state"], first["errors"], second["state"], second["errors"]) == ("done", 0, "failed", 2)
    assert asked("logs", second["run"]) == asked("logs", "last") == asked("logs", second["run"][:-1])
    assert len(asked("logs", "all")) == len(asked("logs", first["run"])) + len(asked("logs", second["run"]))
    ran = cli("logs", "local_")
    assert (ran.returncode, first["run"] in ran.stderr, second["run"] in ran.stderr) == (2, True, True)
    ran = cli("logs", "nothing")
    assert (ran.returncode, ran.stdout) == (2, "")
    assert "no run or step begins with nothing" in ran.stderr


@pytest.mark.usefixtures("good_run")
def test_a_run_that_is_not_over_is_open(asked: Any, journal: Path) -> None:
    """A step that began and never ended was killed, or goes on."""
    (file,) = journal.glob("*.jsonl")
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join(line for line in lines if b"RequestData" not in line))
    assert asked("runs")[0]["state"] == "open"


@pytest.mark.usefixtures("good_run")
def test_torn_lines_are_counted_and_said(cli: Any, journal: Path) -> None:
    """What a kill has left does not keep the rest from being read."""
    (file,) = journal.glob("*.jsonl")
    file.write_bytes(b'{"time":"2026-\n[]\n\xff\n' + file.read_bytes() + b'{"time":"20')
    ran = cli("logs")
    assert "loaded" in ran.stdout
    assert "4 lines could not be read" in ran.stderr


@pytest.mark.usefixtures("good_run")
def test_a_record_in_two_files_counts_once(asked: Any, journal: Path) -> None:
    """A copy of the journal, as of the files that a far side wrote, adds nothing."""
    (file,) = journal.glob("*.jsonl")
    (journal / "copy").mkdir()
    (journal / "copy" / file.name).write_bytes(file.read_bytes())
    assert len(asked("logs")) == 2


def test_no_text_can_pass_for_another_line(cli: Any, child: Any) -> None:
    """Control characters are written out, further lines of a message are indented."""
    child(
        "import amllog; amllog.setup().warning('a\\x1b[2Jb\\n2026-01-01T00:00:00.000Z ERROR x: forged', k='\\r')"
    )
    shown = cli("logs").stdout
    assert "\x1b" not in shown
    assert "\n    2026-01-01T00:00:00.000Z ERROR x: forged" in shown
    assert 'k="\\r"' in shown


def test_no_journal_is_wrong_usage(cli: Any, tmp_path: Path) -> None:
    """It says where it looked, and what to give."""
    for arguments, said in (
        (("logs",), "looked for .amllog and logs/amllog"),
        (("runs", "--dir", "x"), "directory: x"),
    ):
        ran = cli(*arguments)
        assert (ran.returncode, ran.stdout) == (2, "")
        assert said in ran.stderr
    (tmp_path / ".amllog").mkdir()
    ran = cli("logs")
    assert (ran.returncode, "no records yet" in ran.stderr) == (2, True)
    assert cli("runs").returncode == 0


@pytest.mark.usefixtures("good_run")
def test_tail_follows(cli: Any, child: Any) -> None:
    """The last lines, then those to come, until Ctrl-C."""
    assert cli("tail", "-n", "1").stdout.count("\n") == 1
    process = child.start([sys.executable, "-u", "-m", "amllog", "tail", "--follow", "all"])
    assert "loaded" in process.stdout.readline()
    child("import amllog; amllog.setup().info('newer')")
    deadline = time.monotonic() + 20
    while "newer" not in process.stdout.readline():
        assert time.monotonic() < deadline
    process.send_signal(2)
    assert process.wait(10) == 130


@pytest.mark.usefixtures("good_run")
def test_a_reader_that_has_enough_is_no_error() -> None:
    """`amllog logs | head -1` ends without a traceback."""
    command = f"{sys.executable} -m amllog logs --json | true; exit ${{PIPESTATUS[0]}}"
    ran = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
    assert (ran.returncode, "Traceback" in ran.stderr, "Exception" in ran.stderr) == (0, False, False)
