"""The checks of the code folders of steps: they exist, are not too big, and belong to one step each."""

from __future__ import annotations

import os.path
from collections.abc import Iterable, Iterator
from pathlib import Path

from amllog.local.checks.code_folder import MAX_BYTES, MAX_FILES, CodeFolder
from amllog.local.checks.finding_places import key_line
from amllog.local.plan.planned_steps import Finding, PlannedStep, Severity, StepKind


def code_findings(steps: Iterable[PlannedStep]) -> Iterator[Finding]:
    """Yield the findings about the code of steps, once for each folder."""
    users: dict[Path, list[PlannedStep]] = {}
    for step in steps:
        if step.code is not None and step.kind is not StepKind.FUNCTION:
            users.setdefault(step.code, []).append(step)
    for code, sharing in users.items():
        if not os.path.exists(code):  # Path.exists() raises an error for a name that is too long
            lines = dict.fromkeys(key_line(step, "code") for step in sharing)
            yield from (Finding(line, f"code: {code} does not exist") for line in lines)
        elif code.is_dir():
            yield from _size_finding(code, sharing[0])
            yield from _sharing_finding(code, sharing)


def _size_finding(code: Path, step: PlannedStep) -> Iterator[Finding]:
    line = key_line(step, "code")
    try:
        size = CodeFolder(code).size()
    except OSError as error:
        yield Finding(line, f"code: {error.filename or code}: {error.strerror}")
        return
    if size.is_too_big:
        limit = f"{MAX_FILES:,} files" if size.files > MAX_FILES else f"{MAX_BYTES // 1_000_000} MB"
        message = f"code: {code} has more than {limit}: exclude files in {code / '.amlignore'}"
        yield Finding(line, message, Severity.WARNING)


def _sharing_finding(code: Path, sharing: list[PlannedStep]) -> Iterator[Finding]:
    """Yield a warning if steps with different programs share a folder. The same component may be used several times."""
    programs: dict[object, PlannedStep] = {}
    for step in sharing:
        programs.setdefault(_program(step), step)
    if len(programs) > 1:
        names = ", ".join(step.name for step in programs.values())
        message = (
            f"code: the steps {names} share the folder {code}. A change for one of them runs all of them again: "
            "give each step a folder of its own"
        )
        yield Finding(key_line(list(programs.values())[1], "code"), message, Severity.WARNING)


def _program(step: PlannedStep) -> object:
    return (
        step.command,
        step.arguments,
        step.parallel.entry_script if step.parallel else "",
        step.spark.entry if step.spark else "",
    )
