"""Find an earlier execution of a step with the same command, code, inputs and environment.

The rule of the service: a step that reads the outputs of another one runs again when the other one has run again. So
the key has the execution that made each input. For data of this machine, it has names, sizes and times of files.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path

from amllog.local.execution.data_state import data_state
from amllog.local.execution.past_runs import PastRun
from amllog.local.execution.run_folder import StepRecord
from amllog.local.execution.schedule import SUCCESSFUL
from amllog.local.plan.planned_steps import LocalData, PlannedStep, StepKind, StepOutput


def _environment_state(python: Path) -> list[tuple[str, int]]:
    """Return the interpreter, and the times of its package folders, which every installation changes."""
    folders = sorted((python.parent.parent / "lib").glob("python3*/site-packages"))
    return [(str(python), 0), *((str(path), path.stat().st_mtime_ns) for path in folders)]


def _plain(value: object) -> object:
    """Return a task of a step as plain data with a stable text."""
    data = value
    if is_dataclass(value):  # not by `asdict`, which cannot copy the mappings of frozen tasks
        data = {field.name: getattr(value, field.name) for field in fields(value)}
    if isinstance(data, Mapping):
        return sorted((str(key), _plain(item)) for key, item in data.items())
    return [_plain(item) for item in data] if isinstance(data, (list, tuple)) else data


def reuse_key(step: PlannedStep, code: str, python: Path, identities: Mapping[str, str]) -> str:
    """Return the key of a step, or "" if it has none. `identities` are the executions that made the outputs of steps.

    `code` is the hash of its code. Raises OSError if data cannot be read.
    """
    if step.kind is StepKind.FUNCTION:
        return ""  # a function depends on more than its own code
    inputs: list[object] = []
    for name, value in sorted(step.inputs.items()):
        if isinstance(value, StepOutput):
            inputs.append((name, identities.get(value.step, ""), value.output))
        elif isinstance(value, LocalData):
            inputs.append((name, str(value.path), value.type, data_state(value.path)))
        else:
            inputs.append((name, _plain(value)))
    parts = (
        step.kind.value,
        step.command,
        step.arguments,
        inputs,
        [(name, output.type, output.is_created) for name, output in sorted(step.outputs.items())],
        sorted(step.environment_variables.items()),
        [_plain(task) for task in (step.distribution, step.parallel, step.sweep, step.spark)],
        _environment_state(python),
        code,
    )
    return hashlib.sha256(repr(parts).encode(errors="surrogateescape")).hexdigest()


class EarlierSteps:
    """The completed steps of all earlier runs by their keys. They are read when the first key is looked up."""

    def __init__(self, find_runs: Callable[[], Iterable[PastRun]]) -> None:
        self._find_runs = find_runs
        self._records: dict[str, StepRecord] | None = None

    def find(self, key: str) -> StepRecord | None:
        """Return the latest completed step with a key whose outputs still exist."""
        if self._records is None:
            records: dict[str, StepRecord] = {}  # complete before other threads see it
            for run in self._find_runs():
                for record in run.steps.values():
                    if record.key and record.state in SUCCESSFUL and _has_outputs(record):
                        records.setdefault(record.key, record)
            self._records = records
        return self._records.get(key)


def _has_outputs(record: StepRecord) -> bool:
    return all(Path(path).exists() for path in record.outputs.values())
