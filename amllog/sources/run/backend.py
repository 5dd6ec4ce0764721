"""What a `Run` asks of the house around it: a journal to write to, a service to read from.

In and out: names only; the intake and the session implement them.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any, BinaryIO, Protocol, Union

# What `Gate.spool` takes: the bytes themselves, a path, or an open binary stream.
Source = Union[bytes, str, "os.PathLike[str]", BinaryIO]


class Copy(Protocol):
    """An open copy of a file."""

    stream: BinaryIO


class Who(Protocol):
    """What a `Run` asks of the process's identity (amllog.context.identity.Identity)."""

    @property
    def step_id(self) -> str: ...
    @property
    def parent_run_id(self) -> str: ...
    @property
    def root_run_id(self) -> str: ...
    @property
    def step_name(self) -> str: ...
    @property
    def experiment_name(self) -> str: ...
    @property
    def run_url(self) -> str: ...
    @property
    def run_type(self) -> str: ...


class Gate(Protocol):
    """What a `Run` needs of the intake. `run_id` is None for the process's own run.

    `metric`: a finite number, as `log.metric`: a MetricData record with run_metric="scalar".
    `run_record`: everything else, an EventData record with run_metric=`kind` and run_metric_data=`data` as JSON.
        kind "scalar", "list", "row", "table": data = {"columns": {name: type}, "rows": [[cell, ...], ...]} and,
        for a scalar with a step, "step". kind "call": `name` is "run.<method>", data its arguments.
        The text of `data` is at most 8,000 characters, plain JSON without NaN.
    `spool`: copies a file into the journal directory, for the courier; its name there, None if it is refused.
    `copied`: opens such a copy. Raises FileNotFoundError, also once it has been delivered.
    `azure_run`: the real online run, or None: offline, not reachable, or not known yet.
    """

    @property
    def identity(self) -> Who: ...

    @property
    def online(self) -> bool:
        """Whether this process is a job's (records are addressed to run history), reachable or not."""

    def metric(self, name: str, value: float, step: int | None, run_id: str | None) -> None: ...

    def run_record(self, kind: str, name: str, data: Mapping[str, Any], *, run_id: str | None) -> None: ...

    def spool(self, source: Source, name: str) -> str | None: ...

    def copied(self, name: str) -> AbstractContextManager[Copy]: ...

    def azure_run(self) -> Any | None: ...

    def flush(self, timeout: float) -> object: ...
