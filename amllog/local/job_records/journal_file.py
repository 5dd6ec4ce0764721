"""A file of records in the journal directory of a local run, beside the files of the steps' own processes.

It contains the records of scripts without amllog. Its name and its lines are those of a segment of the journal, so
that all commands read it. No line has an instrumentation key, so nothing of it is ever sent. The file is locked while
the run continues, as each segment is.
"""

from __future__ import annotations

import itertools
import secrets
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from amllog.__version__ import __version__
from amllog.local.storage import LockedLines
from amllog.record import envelope
from amllog.record.operation_id import operation_id_of, span_id_of

NODE = "node-0"  # of the compute context in the variables of a job


class RunIdentity(NamedTuple):
    """The common part of all records of a run. The parent and the root of a single job are itself."""

    run_id: str
    parent_run_id: str
    root_run_id: str
    step_name: str
    experiment_name: str

    @classmethod
    def of_run(cls, run: Mapping[str, Any]) -> RunIdentity:
        """Return the identity of a run of run history."""
        run_id, root = str(run["runId"]), str(run["rootRunId"])
        name = str(run.get("name") or run.get("displayName") or run_id)
        return cls(run_id, str(run.get("parentRunId") or root), root, name, str(run["experimentName"]))

    def dimensions(self) -> dict[str, str]:
        """Return the dimensions that amllog writes to its own records."""
        dimensions = {
            "parent_run_id": self.parent_run_id,
            "step_id": self.run_id,
            "step_name": self.step_name,
            "experiment_name": self.experiment_name,
            "node": NODE,
        }
        if self.root_run_id != self.parent_run_id:
            dimensions["root_run_id"] = self.root_run_id
        return dimensions

    def pipeline_dimensions(self) -> dict[str, str]:
        """Return the dimensions of records of a pipeline run, which has no step. With one, it would count as a step."""
        names = {"step_name": self.step_name, "experiment_name": self.experiment_name}
        return {**names, "root_run_id": self.root_run_id}

    def tags(self, *, of_request: bool = False) -> dict[str, str]:
        """Return the tags of a record in the span of the run, or those of its request."""
        above = span_id_of(self.parent_run_id) if self.parent_run_id != self.run_id else ""
        return {
            "ai.cloud.role": self.step_name[:256],
            "ai.cloud.roleInstance": NODE,
            "ai.internal.sdkVersion": f"amllog{__version__}:run",
            "ai.operation.name": self.step_name[:1024],
            **envelope.span_tags(
                operation_id_of(self.root_run_id), above if of_request else span_id_of(self.run_id)
            ),
        }


class JournalRecord(NamedTuple):
    """A record before it is encoded. `data` has the members of the baseData with the properties of the record."""

    seconds: float
    kind: str
    data: Mapping[str, Any]
    tags: Mapping[str, str]


class JournalFile:
    """The file of one local run, which is created for its first record. All methods are thread-safe."""

    def __init__(self, directory: Path) -> None:
        self._lock = threading.Lock()
        self._directory = directory
        self._file: LockedLines | None = None
        self._series, self._numbers = secrets.token_hex(4), itertools.count()

    def append(self, records: Iterable[JournalRecord]) -> None:
        """Append records with one write. Raises OSError if the file cannot be written. Then no record is in it."""
        with self._lock:
            lines = [self._encode(record) for record in records]
            if lines:
                if self._file is None:
                    self._file = LockedLines(self._directory)
                self._file.append(lines)

    def close(self) -> None:
        """Close the file, which releases its lock."""
        with self._lock:
            if self._file is not None:
                self._file.close()

    def _encode(self, record: JournalRecord) -> bytes:
        properties = dict(record.data.get("properties") or {})
        properties.setdefault("record_id", f"{self._series}-{next(self._numbers):x}")
        data = {**record.data, "properties": envelope.limit_properties(properties)}
        return envelope.encode_record(record.seconds, None, record.tags, record.kind, data)
