"""Show a local run as lines of plain text: `train | epoch 3`, and one line for each change of a step's state.

Nothing is drawn again, so the lines are right in CI, in a notebook and in a file.
"""

from __future__ import annotations

import re
from typing import TextIO

from amllog.insights.reports.rendering import format_duration
from amllog.local.execution.step_events import RunStatus, StepState, StepStatus
from amllog.record.text import escape_controls

MAX_NAME = 32  # longer names are not aligned, and never cut
SEPARATOR = " | "
_SEQUENCE = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[ -/]*[0-~]")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_SHOWN = (StepState.FAILED, StepState.SKIPPED, StepState.CANCELED, StepState.REUSED)


def printable(text: str) -> str:
    """Return a line of a step as it can be shown.

    The part behind the last carriage return is left of a progress bar. Colours are removed, and other control
    characters are escaped.
    """
    if not _CONTROL.search(text):
        return text
    parts = [part for part in _SEQUENCE.sub("", text).split("\r") if part.strip()]
    return escape_controls(parts[-1].expandtabs().rstrip()) if parts else ""


def name_width(run: RunStatus) -> int:
    """Return the width of the column of the names of steps."""
    return max((len(step.name) for step in run.steps if len(step.name) <= MAX_NAME), default=0)


def describe_change(step: StepStatus) -> str:
    """Return the end of a step as a sentence, or "" for a change that is no end."""
    if step.state is StepState.RUNNING:
        return f"{step.name} started"
    if not step.state.is_final:
        return ""
    sentence = f"{step.name} {step.state.value}"
    if step.seconds is not None and step.state in (StepState.COMPLETED, StepState.FAILED):
        sentence += f" after {format_duration(step.seconds)}"
    return f"{sentence}: {printable(step.reason)}" if step.reason and step.state in _SHOWN else sentence


class RunLines:
    """A RunObserver that writes lines.

    The lines of the steps go to `stream`, and the changes of states to `notices`. A stream that raises is written to no
    more: the run does not stop because nobody reads its lines. The other stream continues.
    """

    def __init__(
        self, stream: TextIO, notices: TextIO, prefix: str = "", *, has_summary: bool = False
    ) -> None:
        self._stream, self._notices, self._prefix, self._has_summary = stream, notices, prefix, has_summary
        self._width = 0
        self._states: dict[str, StepState] = {}
        self._broken: list[TextIO] = []
        self.error: OSError | None = None  # the first

    def notice(self, text: str) -> None:
        """Write a notice before the run, such as a finding."""
        self._write(self._notices, f"{escape_controls(text)}\n")

    def started(self, run: RunStatus) -> None:
        """Write the name and the folder of the run."""
        self._width = name_width(run)
        self._write(self._notices, f"{self._prefix}run {run.run_id} in {printable(str(run.folder))}\n")

    def changed(self, step: StepStatus) -> None:
        """Write the change of a state. Progress bars change the last line only."""
        is_new = self._states.get(step.name) is not step.state
        self._states[step.name] = step.state
        sentence = describe_change(step)
        if sentence and is_new:
            self._write(self._notices, f"{self._prefix}{sentence}\n")

    def line(self, step_name: str, text: str) -> None:
        """Write one line of a step behind its name."""
        self._write(
            self._stream, f"{step_name:<{self._width}}{SEPARATOR}{printable(text)}".rstrip(" ") + "\n"
        )

    def ended(self, run: RunStatus) -> None:
        """Write the state of the run, unless a summary follows."""
        if not self._has_summary:
            self._write(self._notices, f"{self._prefix}run {run.run_id} {run.state.value}\n")

    def _write(self, stream: TextIO, text: str) -> None:
        if stream in self._broken:
            return
        try:
            write_text(stream, text)
        except OSError as error:
            self._broken.append(stream)
            self.error = self.error or error


def write_text(stream: TextIO, text: str) -> None:
    """Write a text at once. Characters that the encoding of the stream does not have are escaped."""
    try:
        stream.write(text)
    except UnicodeEncodeError:
        encoding = getattr(stream, "encoding", None) or "ascii"
        stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
    stream.flush()
