"""The protocol through which a `Run` writes records and reaches the service."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any, BinaryIO, Protocol, Union

from amllog.context.identity import Identity

# What `RunBackend.spool` accepts: the bytes themselves, a path, or an open binary stream.
Source = Union[bytes, str, "os.PathLike[str]", BinaryIO]


class OpenCopy(Protocol):
    """An open copy of a file."""

    stream: BinaryIO


class RunBackend(Protocol):
    """The operations that a `Run` needs. `run_id` is None for the process's own run.

    `metric`: a finite number, as `log.metric`: a MetricData record with run_metric="scalar".
    `run_record`: everything else, an EventData record with run_metric=`kind` and run_metric_data=`data` as JSON.
        kind "scalar", "list", "row", "table": data = {"columns": {name: type}, "rows": [[cell, ...], ...]} and,
        for a scalar with a step, "step". kind "call": `name` is "run.<method>", data its arguments.
        The JSON of `data` has at most 8,000 characters and no NaN.
    `spool`: copies a file into the journal directory and returns the name of the copy, None if it is refused.
    `copied`: opens such a copy. Raises FileNotFoundError, also once it has been delivered.
    `azure_run`: azureml's online run, or None: offline, not reachable, or not known yet.
    """

    @property
    def identity(self) -> Identity: ...

    @property
    def online(self) -> bool:
        """Return whether records are addressed to run history, reachable or not."""

    def metric(self, name: str, value: float, step: int | None, run_id: str | None) -> None: ...

    def run_record(self, kind: str, name: str, data: Mapping[str, Any], *, run_id: str | None) -> None: ...

    def spool(self, source: Source, name: str) -> str | None: ...

    def copied(self, name: str) -> AbstractContextManager[OpenCopy]: ...

    def azure_run(self) -> Any | None: ...

    def flush(self, timeout: float) -> object: ...
