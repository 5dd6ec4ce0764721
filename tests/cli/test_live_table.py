"""The lines and the table of a local run on a terminal, which pyte draws."""

from __future__ import annotations

import io
import os
import time
from pathlib import Path

import pyte
import pytest
from hypothesis import given, strategies as st

from amllog.cli.live_table import LiveTable, cell_count, cut, padded
from amllog.local.execution.step_events import RunState, RunStatus, StepState, StepStatus

COLUMNS, LINES = 60, 24


def run_of(*names: str) -> RunStatus:
    """Return a run whose steps wait."""
    steps = tuple(StepStatus(name) for name in names)
    return RunStatus("run_1", "p", Path("amllog-runs/run_1"), RunState.RUNNING, steps)


class Terminal:
    """A table on a stream, and the screen that a terminal shows after its output."""

    def __init__(self, columns: int = COLUMNS, lines: int = LINES) -> None:
        self.stream = io.StringIO()
        self.size = os.terminal_size((columns, lines))
        self.table = LiveTable(self.stream, colour=True, size=lambda: self.size)

    def screen(self) -> list[str]:
        """Return the lines that are not empty."""
        screen = pyte.Screen(self.size.columns, self.size.lines)
        pyte.Stream(screen).feed(self.stream.getvalue().replace("\n", "\r\n"))
        return [line.rstrip() for line in screen.display if line.strip()]

    def wait_for(self, text: str) -> list[str]:
        """Return the screen as soon as it contains a text."""
        deadline = time.monotonic() + 60
        while not any(text in line for line in self.screen()):
            assert time.monotonic() < deadline, self.screen()
            time.sleep(0.01)
        return self.screen()


def test_lines_above_the_table() -> None:
    """Each line of a step is above the table once, and the table shows states, times and last lines."""
    terminal = Terminal()
    run = run_of("prep", "train")
    terminal.table.started(run)
    terminal.table.changed(StepStatus("prep", StepState.COMPLETED, seconds=1.5))
    terminal.table.changed(StepStatus("train", StepState.RUNNING, started=time.time() - 75 * 60))
    for number in range(30):
        terminal.table.line("train", f"epoch {number}")
    shown = terminal.wait_for("train  running    1 h 15 min  epoch 29")
    assert shown[-4:-2] == ["train | epoch 29", "─" * 59]
    assert shown[-2] == "prep   completed       1.5 s"
    terminal.table.ended(run)
    shown = terminal.screen()
    assert shown[-1] == "train | epoch 29"
    assert shown == [f"train | epoch {number}" for number in range(30 - len(shown), 30)]


def test_many_steps_in_few_lines() -> None:
    """With more steps than lines, those that run and failed are shown, and the others are counted."""
    terminal = Terminal(lines=12)
    terminal.table.started(run_of(*(f"step_{number}" for number in range(200))))
    terminal.table.changed(StepStatus("step_150", StepState.FAILED, seconds=1, reason="exit code 1"))
    terminal.table.changed(StepStatus("step_199", StepState.RUNNING, started=time.time()))
    shown = terminal.wait_for("step_199")
    assert len(shown) == 7
    assert any(line.startswith("step_150  failed") and "exit code 1" in line for line in shown)
    assert shown[-1] == "… and 195 waiting"
    terminal.table.close()
    terminal.table.close()
    assert terminal.screen() == []


def test_narrow_terminal() -> None:
    """Rows are cut to the terminal, and one with almost no columns gets lines only."""
    terminal = Terminal(columns=40)
    run = run_of("a_very_long_name_of_a_step")
    terminal.table.started(run)
    terminal.table.changed(StepStatus(run.steps[0].name, StepState.FAILED, reason="x" * 100))
    assert all(len(line) < 40 for line in terminal.wait_for("failed"))
    terminal.table.close()
    terminal = Terminal(columns=20)
    terminal.table.started(run_of("a"))
    terminal.table.line("a", "text")
    assert terminal.wait_for("a | text") == ["a | text"]
    terminal.table.close()


def test_control_characters_of_steps() -> None:
    """A step can neither move the cursor nor colour the table."""
    terminal = Terminal()
    terminal.table.started(run_of("a"))
    terminal.table.line("a", "\x1b[2J\x1b[31mred\x07\r100%")
    shown = terminal.wait_for("100%")
    assert shown[0] == "a | 100%"
    terminal.table.close()


class Closed(io.StringIO):
    """A terminal that was closed."""

    def write(self, text: str) -> int:
        raise OSError(5, "Input/output error")


def test_a_closed_terminal_does_not_stop_the_run() -> None:
    """The error is kept, and the observer returns at once for any number of lines."""
    table = LiveTable(Closed(), colour=False, size=lambda: os.terminal_size((80, 24)))
    run = run_of("a")
    table.started(run)
    for _ in range(30_000):  # more than the queue has room for
        table.line("a", "text")
    table.ended(run)
    assert table.error is not None and table.error.errno == 5


@given(st.text(st.characters(exclude_categories=("C",))), st.integers(0, 40))
def test_cut(text: str, columns: int) -> None:
    """A cut text fits, is a beginning of the text, and is whole if it fits."""
    short = cut(text, columns)
    assert cell_count(short) <= columns
    assert text.startswith(short[:-1])
    assert short == text or cell_count(text) > columns
    assert cell_count(padded(short, columns)) == columns


@pytest.mark.parametrize(("text", "cells"), [("abc", 3), ("日本", 4), ("e\u0301", 1)])
def test_cells(text: str, cells: int) -> None:
    """Wide characters take two columns, and combining ones take none."""
    assert cell_count(text) == cells
