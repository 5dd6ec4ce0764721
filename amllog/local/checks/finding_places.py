"""The line of a finding: that of a key of a step, or of a text inside the value of the key."""

from __future__ import annotations

from amllog.local.plan.planned_steps import PlannedStep, SourceLine

MAX_LINES = 60  # of a command


def key_line(step: PlannedStep, key: str) -> SourceLine:
    """Return the line of a key of the step, or the line of the step."""
    return step.key_positions.get(key, step.position)


def text_line(step: PlannedStep, key: str, text: str) -> SourceLine:
    """Return the line of a text in the value of a key, or the line of the key if the text is not there as it is."""
    position = key_line(step, key)
    if not position.line or not text:
        return position
    try:
        with position.file.open(encoding="utf-8-sig", errors="replace") as file:
            for number, line in enumerate(file, 1):
                if number >= position.line + MAX_LINES:
                    break
                if number >= position.line and text in line:
                    return position._replace(line=number)
    except OSError:  # deleted in the meantime
        pass
    return position
