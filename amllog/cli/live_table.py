"""Show a local run on a terminal: the lines of the steps, and below them a table of all steps that is drawn again.

The table has one row for each step: name, state, time and the last line. If the terminal has too few lines, the steps
that run and that failed are shown, and the others are counted. One thread draws, so that the times advance while no
step writes anything. It draws at most 20 times in a second.
"""

from __future__ import annotations

import contextlib
import math
import os
import queue
import time
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TextIO, Union

from amllog.cli.output import GREEN, GREY, RED, YELLOW
from amllog.insights.reports.rendering import format_duration
from amllog.local.execution.step_events import RunStatus, StepState, StepStatus
from amllog.local.run_lines import MAX_NAME, SEPARATOR, name_width, printable, write_text
from amllog.process.background import BackgroundCall

MIN_COLUMNS, MIN_LINES = 30, 8  # a smaller terminal gets lines only
MAX_ROWS = 20
_NAME_COLOURS = ("36", "35", "34", "33", "32", "96", "95", "94")
_STATE_COLOURS = {
    StepState.RUNNING: "36",
    StepState.COMPLETED: GREEN,
    StepState.FAILED: RED,
    StepState.CANCELED: YELLOW,
    StepState.SKIPPED: YELLOW,
    StepState.REUSED: GREEN,
    StepState.WAITING: GREY,
}
_STATE_WIDTH = max(len(state.value) for state in StepState)
_FRAME_SECONDS, _TICK_SECONDS, _CLOSE_SECONDS = 0.05, 0.25, 5.0
_QUEUE_SIZE = 10_000  # lines: a step that writes faster than the terminal waits in the runner, not in memory
_PRIORITY = (StepState.RUNNING, StepState.FAILED, StepState.CANCELED, StepState.SKIPPED, StepState.WAITING)

Event = Union[StepStatus, "tuple[str, str]", None]  # a change, a line of a step, or the end


class LiveTable:
    """A RunObserver that draws on a terminal. `size` returns its columns and lines."""

    def __init__(
        self, stream: TextIO, *, colour: bool, size: Callable[[], os.terminal_size], first: str = ""
    ) -> None:
        self._stream, self._colour, self._size, self._first = stream, colour, size, first
        self._steps: dict[str, StepStatus] = {}
        self._colours: dict[str, str] = {}
        self._width = self._drawn = 0
        self._queue: queue.Queue[Event] = queue.Queue(_QUEUE_SIZE)
        self._thread: BackgroundCall | None = None
        self.error: OSError | None = None

    def started(self, run: RunStatus) -> None:
        """Draw the table for the first time."""
        self._steps = {step.name: step for step in run.steps}
        self._width = name_width(run)
        for number, name in enumerate(self._steps):
            self._colours[name] = _NAME_COLOURS[number % len(_NAME_COLOURS)]
        self._thread = BackgroundCall(self._draw_until_end)

    def changed(self, step: StepStatus) -> None:
        """Draw a step again."""
        self._put(step)

    def line(self, step_name: str, text: str) -> None:
        """Write a line above the table."""
        self._put((step_name, text))

    def ended(self, run: RunStatus) -> None:
        """Write the waiting lines and erase the table. A summary follows."""
        self.close()

    def close(self) -> None:
        """Erase the table. Does nothing if it is erased already."""
        thread = self._thread
        if thread is not None:
            self._put(None, time.monotonic() + _CLOSE_SECONDS)
            self._thread = None
            with contextlib.suppress(TimeoutError):  # a terminal that accepts no output (Ctrl-S)
                thread.result(_CLOSE_SECONDS)

    def _put(self, event: Event, end: float = math.inf) -> None:
        """Pass an event to the thread that draws. Wait for room until the monotonic time `end`."""
        while self._thread is not None and not self._thread.over and time.monotonic() < end:
            with contextlib.suppress(queue.Full):
                self._queue.put(event, timeout=_TICK_SECONDS)
                return

    def _draw_until_end(self) -> None:
        try:
            while self._draw(self._next_events()):
                pass
        except OSError as error:  # the terminal is closed: the run goes on
            self.error = error

    def _next_events(self) -> list[Event]:
        """Return all events of the next frame. Without events, return after a tick."""
        events: list[Event] = []
        with contextlib.suppress(queue.Empty):
            events.append(self._queue.get(timeout=_TICK_SECONDS))
            end = time.monotonic() + _FRAME_SECONDS
            while len(events) < _QUEUE_SIZE and events[-1] is not None:
                events.append(self._queue.get(timeout=max(0.0, end - time.monotonic())))
        return events

    def _draw(self, events: Sequence[Event]) -> bool:
        """Write the lines of the events, and the table below them. Return whether the run continues."""
        lines = []
        for event in events:
            if isinstance(event, StepStatus):
                self._steps[event.name] = event
            elif event is not None:
                lines.append(self._step_line(*event))
        is_end = None in events
        table = [] if is_end else self._table()
        erased = f"\x1b[{self._drawn}A" if self._drawn else ""
        self._drawn = len(table)
        write_text(self._stream, "".join((erased, "\r\x1b[J", *(f"{line}\n" for line in (*lines, *table)))))
        return not is_end

    def _step_line(self, name: str, text: str) -> str:
        shown = printable(text)
        if shown and name in self._steps:
            self._steps[name] = replace(self._steps[name], last_line=shown)
        return f"{self._paint(f'{name:<{self._width}}{SEPARATOR}', self._colours.get(name, ''))}{shown}"

    def _table(self) -> list[str]:
        columns, height = self._size()
        if columns < MIN_COLUMNS or height < MIN_LINES:
            return []
        room = min(MAX_ROWS, height // 2)
        steps = list(self._steps.values())
        shown = steps if len(steps) <= room else _most_important(steps, room - 1)
        rows = [self._paint("─" * min(columns - 1, 60), GREY), *(self._row(step, columns) for step in shown)]
        if len(shown) < len(steps):
            names = {step.name for step in shown}
            counts = Counter(step.state.value for step in steps if step.name not in names)
            rest = ", ".join(f"{count} {state}" for state, count in counts.items())
            rows.append(self._paint(cut(f"… and {rest}", columns - 1), GREY))
        return rows

    def _row(self, step: StepStatus, columns: int) -> str:
        width = min(self._width or MAX_NAME, columns // 3)
        seconds = step.seconds
        if seconds is None and step.started is not None and not step.state.is_final:
            seconds = max(0.0, time.time() - step.started)
        duration = "" if seconds is None else format_duration(seconds)
        name = padded(cut(step.name, width), width)
        rest = columns - 1 - width - _STATE_WIDTH - 16
        last = printable(step.reason or step.last_line)
        state = self._paint(f"{step.state.value:<{_STATE_WIDTH}}", _STATE_COLOURS[step.state])
        tail = f"  {self._paint(cut(last, rest), GREY)}" if last and rest > 0 else ""
        return f"{name}  {state}  {duration:>10}{tail}"

    def _paint(self, text: str, code: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self._colour and code else text


def _most_important(steps: Sequence[StepStatus], room: int) -> list[StepStatus]:
    """Return at most `room` steps in their order: those that run, then those that failed, then the others."""
    rank = {state: number for number, state in enumerate(_PRIORITY)}
    chosen = sorted(steps, key=lambda step: rank.get(step.state, len(rank)))[:room]
    names = {step.name for step in chosen}
    return [step for step in steps if step.name in names]


def cell_count(text: str) -> int:
    """Return the number of columns that a text takes on a terminal."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(letter) else 2 if unicodedata.east_asian_width(letter) in "WF" else 1
        for letter in text
    )


def cut(text: str, columns: int) -> str:
    """Return the beginning of a text that fits into the columns, with `…` at the end of a longer one."""
    if cell_count(text) <= columns:
        return text
    while text and cell_count(text) > columns - 1:
        text = text[: min(len(text) - 1, columns - 1)]
    return f"{text}…" if columns > 0 else ""


def padded(text: str, columns: int) -> str:
    """Return a text with blanks up to the column."""
    return text + " " * (columns - cell_count(text))
