"""Parallel steps with real workers, without a runner."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from amllog.local.execution.step_values import StepValues
from amllog.local.plan.planned_steps import (
    LiteralValue,
    LocalData,
    ParallelTask,
    PlannedOutput,
    PlannedStep,
    SourceLine,
    StepKind,
)
from amllog.local.step_kinds.parallel_step import command


class ParallelFolder:
    """The folder of one parallel step, with its data, its script and its output."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.work, self.data, self.output = folder / "work", folder / "data", folder / "rows.txt"
        self.work.mkdir()
        self.data.mkdir()
        self.step = PlannedStep(
            "score",
            SourceLine(Path("job.yml"), 5),
            StepKind.PARALLEL,
            parallel=ParallelTask(
                "score.py",
                "data",
                mini_batch_size="1",
                max_concurrency_per_instance=1,
                max_retries=0,
                append_row_to="${{outputs.rows}}",
            ),
            inputs={"data": LocalData(self.data), "model": LiteralValue("a b")},
            outputs={"rows": PlannedOutput("uri_file")},
        )

    def files(self, count: int) -> None:
        """Create files with the numbers from 0."""
        for number in range(count):
            (self.data / f"{number}.txt").write_text(str(number))

    def table(self, text: str) -> None:
        """Create a table with these lines."""
        (self.data / "rows.csv").write_text(text)
        (self.data / "MLTable").write_text(
            "paths:\n- file: ./rows.csv\ntransformations:\n- read_delimited:\n"
        )
        self.step = replace(self.step, inputs={"data": LocalData(self.data, "mltable")})

    def command(self, script: str, **task: Any) -> tuple[str, ...]:
        """Write the script, and return the command of the step with other values of its task."""
        (self.work / "score.py").write_text(
            "import os\ndef name(path): return os.path.basename(path)[0]\n" + script
        )
        assert self.step.parallel is not None
        step = replace(self.step, parallel=replace(self.step.parallel, **task))
        values = StepValues(
            {"data": str(self.data), "model": "a b"},
            {"rows": str(self.output)},
            self.work,
            self.folder,
            Path(sys.executable),
        )
        return command(step, values)

    def run(self, script: str, **task: Any) -> subprocess.CompletedProcess[str]:
        """Run the step, in a process group of its own as the keeper does."""
        words = self.command(script, **task)
        return subprocess.run(
            words,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=600,
            start_new_session=True,
        )

    @property
    def rows(self) -> list[str]:
        """The lines of the output, sorted."""
        return sorted(self.output.read_text().splitlines())

    def log(self, pattern: str) -> str:
        """The text of all log files that match."""
        return "".join(path.read_text() for path in sorted((self.work / "logs").glob(pattern)))


@pytest.fixture
def parallel(tmp_path: Path) -> ParallelFolder:
    """The folder of a parallel step."""
    return ParallelFolder(tmp_path)
