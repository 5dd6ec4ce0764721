"""The folders of one attempt of a step: its working directory, its outputs, its interpreter and its log."""

from __future__ import annotations

import os
import shutil
import stat
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from amllog.errors import UsageError
from amllog.local.execution.code_copy import copy_code
from amllog.local.execution.keeper_process import StepExit
from amllog.local.execution.step_values import StepValues
from amllog.local.plan.planned_steps import LiteralValue, LocalData, NamedData, PlannedStep, StepOutput

ARTIFACTS = "artifacts"  # the output that is filled from ./outputs


class StepLayout(NamedTuple):
    """The paths in the folder of a step."""

    folder: Path

    @property
    def log(self) -> Path:
        """The stdout and stderr of the step."""
        return self.folder / "user_logs" / "std_log.txt"

    @property
    def exit_file(self) -> Path:
        """The exit of the process, written by its keeper."""
        return self.folder / "exit.json"

    @property
    def shims(self) -> Path:
        """The first folder on PATH."""
        return self.folder / "bin"

    @property
    def work(self) -> Path:
        """The working directory."""
        return self.folder / "work"

    @property
    def outputs(self) -> Path:
        """The folder of the outputs."""
        return self.folder / "outputs"


def input_texts(step: PlannedStep, outputs: Mapping[str, Mapping[str, Path]]) -> dict[str, str]:
    """Return what `${{inputs.x}}` becomes. `outputs` are the outputs of the steps that have ended."""
    result = {}
    for name, value in step.inputs.items():
        if isinstance(value, LiteralValue):
            result[name] = str(value.value)
        elif isinstance(value, LocalData):
            result[name] = str(value.path)
        elif isinstance(value, StepOutput):
            path = outputs.get(value.step, {}).get(value.output)
            if path is None:
                raise UsageError(f"input {name}: step {value.step} has no output {value.output}")
            result[name] = str(path)
        elif isinstance(value, NamedData):
            raise UsageError(f"{value.position}: input {name}: {value.reference} has no path on this machine")
    return result


def prepare(
    step: PlannedStep, folder: Path, inputs: Mapping[str, str], excluded: Sequence[Path] = ()
) -> StepValues:
    """Make the folders of an attempt, and remove those of the attempt before. Raises OSError and UsageError.

    A file output is a path in a folder that exists. Other outputs are folders that exist, except those of SDK v1.
    """
    layout = StepLayout(folder)
    for path in (layout.work, layout.outputs, layout.shims):
        if os.path.lexists(path):
            remove_folder(path)
    for path in (layout.log.parent, layout.outputs):
        path.mkdir(parents=True, exist_ok=True)
    keep_log(layout)
    copy_code(step.code, layout.work, excluded)
    for path in step.code_includes:
        copy_code(path, layout.work / path.name if path.is_dir() else layout.work, excluded)
    for name in ("outputs", "logs"):
        (layout.work / name).mkdir(exist_ok=True)
    outputs = {name: layout.outputs / name for name in step.outputs}
    for name, output in step.outputs.items():
        if output.type != "uri_file" and output.is_created:
            outputs[name].mkdir(parents=True, exist_ok=True)
    python = step.interpreter or Path(sys.executable)
    return StepValues(
        dict(inputs), {name: str(path) for name, path in outputs.items()}, layout.work, folder, python
    )


def remove_folder(folder: Path) -> None:
    """Delete a folder, also if it is read-only, or if a link or a file is in its place. Raises OSError."""
    if folder.is_symlink() or not folder.is_dir():
        folder.unlink()
        return
    folder.chmod(stat.S_IRWXU)
    for path, names, _ in os.walk(folder):  # the folders below are read after this
        for name in names:
            if not os.path.islink(os.path.join(path, name)):
                os.chmod(os.path.join(path, name), stat.S_IRWXU)
    shutil.rmtree(folder)


def keep_log(layout: StepLayout) -> None:
    """Rename the log of the attempt before, so that no line is lost. Remove its exit.

    The first line of the new log names the attempt before. Otherwise a retry that succeeds would hide its failure.
    """
    end = StepExit.read(layout.exit_file)
    layout.exit_file.unlink(missing_ok=True)
    note = ""
    if layout.log.exists():
        number = 1
        while (name := layout.log.with_name(f"std_log_attempt_{number}.txt")).exists():
            number += 1
        layout.log.rename(name)
        reason = end.reason if end else "its process did not start"
        note = f"amllog: attempt {number} failed ({reason}). Its log is {name.name}. Attempt {number + 1} begins.\n"
    layout.log.write_text(note, encoding="utf-8")
