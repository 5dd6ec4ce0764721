"""Print the end of a local run: the table of its steps, the folder of the outputs, and the story of a failed run."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from amllog.cli import output
from amllog.errors import AmllogError
from amllog.insights.reports.rendering import format_duration
from amllog.local.execution.step_events import RunResult, RunState, StepState, StepStatus
from amllog.local.job_records import source_lines
from amllog.local.run_lines import printable

_COLUMNS = ("step", "state", "time", "reason")
_COLOURS = {
    RunState.COMPLETED: output.GREEN,
    RunState.INCOMPLETE: output.YELLOW,
    RunState.FAILED: output.RED,
    RunState.CANCELED: output.YELLOW,
}


def print_summary(result: RunResult) -> None:
    """Print the steps and the folders, and after a failed step the story."""
    state = output.paint(result.state.value, _COLOURS.get(result.state, ""))
    output.print_answer(f"\nrun {result.run_id}: {state}")
    output.print_answer(output.format_table([_row(step) for step in result.steps], _COLUMNS))
    for step in result.steps:
        source = result.sources.get(step.name)
        if step.state is StepState.FAILED and step.folder and source:
            line = source_lines.failed_line(step.folder, source)
            if line:
                output.print_answer(f"{step.name}: in your source: {_shown(line[0])}:{line[1]}")
    for name, path in result.outputs.items():
        output.print_answer(f"output {name}: {_shown(path)}")
    output.print_answer(f"folder: {_shown(result.folder)}")
    for problem in result.problems:
        output.print_notice(problem, "amllog run")
    if any(step.state is StepState.FAILED for step in result.steps):
        _print_story(result)


def _row(step: StepStatus) -> dict[str, Any]:
    seconds = format_duration(step.seconds) if step.seconds is not None else None
    return {
        "step": step.name,
        "state": step.state.value,
        "time": seconds,
        "reason": printable(step.reason) or None,
    }


def _print_story(result: RunResult) -> None:
    """Print the story of the run, or why there is none."""
    if result.journal_directory is None:
        return
    from amllog.insights import connection  # slow to import, and only a failed run needs it

    try:
        story = connection.connect(result.journal_directory, environ={}).story(result.run_id)
    except AmllogError as error:
        output.print_notice(f"no story of run {result.run_id}: {error}", "amllog run")
        return
    output.print_answer(f"\n{story.text}")


def _shown(path: Path) -> str:
    """Return a path relative to the working directory if it is inside."""
    relative = os.path.relpath(path)
    return printable(str(path) if relative.startswith("..") else relative)
