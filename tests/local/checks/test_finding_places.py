"""Tests of the lines of findings."""

from __future__ import annotations

from pathlib import Path

from amllog.local.checks.finding_places import MAX_LINES, text_line
from amllog.local.plan.planned_steps import PlannedStep, SourceLine


def test_the_line_of_a_text(tmp_path: Path) -> None:
    """A text is searched from the line of its key, up to the length of a command."""
    file = tmp_path / "pipeline.yml"
    file.write_text("a x\nb\nc x\n" + "\n" * MAX_LINES + "far\n")
    step = PlannedStep("s", SourceLine(file, 1), key_positions={"command": SourceLine(file, 2)})
    texts = [("command", "x"), ("command", "far"), ("command", ""), ("code", "x"), ("code", "no")]
    assert [text_line(step, key, text).line for key, text in texts] == [3, 2, 2, 1, 1]


def test_places_without_a_file(tmp_path: Path) -> None:
    """A step of an object has no line, and the file of a step may be gone."""
    places = [SourceLine(tmp_path, 0), SourceLine(tmp_path / "gone.yml", 3)]
    assert [text_line(PlannedStep("s", place), "command", "x") for place in places] == places
