"""The lines of a local run without a terminal."""

from __future__ import annotations

import errno
import io
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from amllog.local.execution.step_events import RunState, RunStatus, StepState, StepStatus
from amllog.local.run_lines import RunLines, printable

RUN = RunStatus(
    "run_1", "p", Path("amllog-runs/run_1"), RunState.RUNNING, (StepStatus("a"), StepStatus("train"))
)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain text", "plain text"),
        ("", ""),
        ("\r 10%|#  |\r100%|###|", "100%|###|"),
        ("100%|###|\r", "100%|###|"),
        ("\x1b[31mred\x1b[0m \x1b]8;;http://x\x07link", "red link"),
        ("a\tb", "a       b"),
        ("\x1b[2Jx\x07", "x\\x07"),
        ("\r\r", ""),
    ],
)
def test_printable(text: str, shown: str) -> None:
    """A line shows the last state of a progress bar, without colours, and with control characters escaped."""
    assert printable(text) == shown


@given(st.text())
def test_printable_has_no_control_characters(text: str) -> None:
    """No line of a step can move the cursor or begin another line."""
    assert not any(
        ord(letter) < 32 or 127 <= ord(letter) < 160 or letter in "\u2028\u2029" for letter in printable(text)
    )


def test_lines_and_changes() -> None:
    """Lines have the aligned name of their step, and changes are notices."""
    lines, notices = io.StringIO(), io.StringIO()
    shown = RunLines(lines, notices, "amllog run: ")
    shown.started(RUN)
    shown.line("a", "one")
    shown.line("train", "")
    shown.changed(StepStatus("a", StepState.RUNNING))
    shown.changed(StepStatus("a", StepState.RUNNING, last_line="50%"))  # a progress bar
    shown.changed(StepStatus("a", StepState.FAILED, seconds=2.0, reason="exit code 3"))
    shown.changed(StepStatus("train", StepState.SKIPPED, reason="a failed"))
    shown.ended(RUN)
    assert lines.getvalue() == "a     | one\ntrain |\n"
    assert notices.getvalue().splitlines() == [
        "amllog run: run run_1 in amllog-runs/run_1",
        "amllog run: a started",
        "amllog run: a failed after 2.0 s: exit code 3",
        "amllog run: train skipped: a failed",
        "amllog run: run run_1 running",
    ]


class Full(io.StringIO):
    """A file on a full disk."""

    count = 0  # of the calls

    def write(self, text: str) -> int:
        self.count += 1
        raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_does_not_stop_the_run() -> None:
    """The first error is kept, nothing more is written there, and the notices go on."""
    notices, full = io.StringIO(), Full()
    shown = RunLines(full, notices)
    shown.line("a", "one")
    shown.line("a", "two")
    shown.changed(StepStatus("a", StepState.COMPLETED))
    assert shown.error is not None and shown.error.errno == errno.ENOSPC
    assert (notices.getvalue(), full.count) == ("a completed\n", 1)


def test_a_stream_without_the_character(tmp_path: Path) -> None:
    """Characters that the encoding lacks are escaped."""
    with (tmp_path / "out").open("w", encoding="ascii") as file:
        RunLines(file, file).line("a", "ü")
    assert (tmp_path / "out").read_text() == "a | \\xfc\n"
