"""Builders of plans for the checks."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from amllog.local.checks.plan_checks import check_plan
from amllog.local.plan.planned_steps import PlannedPipeline, PlannedStep, SourceLine


class Project:
    """A folder with a pipeline file, and a plan of the steps that a test adds."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file = folder / "pipeline.yml"
        self.steps: list[PlannedStep] = []
        self.lines: list[str] = []

    def write(self, name: str, text: str = "") -> Path:
        """Write a file of the project."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def add(self, command: str = "", **fields: object) -> PlannedStep:
        """Add a step at the next line of the pipeline file, with its command in the line after it."""
        number = len(self.lines) + 1
        self.lines += [f"s{len(self.steps)}:", f"  command: {command}"]
        self.file.write_text("\n".join(self.lines), encoding="utf-8")
        values = {
            "command": command,
            "interpreter": Path(sys.executable),
            "key_positions": {"command": SourceLine(self.file, number + 1)},
            **fields,
        }
        step = PlannedStep(f"s{len(self.steps)}", SourceLine(self.file, number), **values)
        self.steps.append(step)
        return step

    def plan(self) -> PlannedPipeline:
        """Return the plan of all steps."""
        return PlannedPipeline("p", SourceLine(self.file, 1), tuple(self.steps), source=self.file)

    def findings(self) -> list[str]:
        """Return the findings of the plan, with paths relative to the folder."""
        texts = [str(finding) for finding in check_plan(self.plan())]
        return [text.replace(f"{self.folder}{os.sep}", "") for text in texts]


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Return an empty project."""
    return Project(tmp_path)
