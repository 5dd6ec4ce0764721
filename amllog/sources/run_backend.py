"""Implement what `log.run` needs: metrics and calls as records, and copies of files beside the journal.

Metrics that the script logs through azureml's own `Run` are recorded here as well.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any

from amllog.context.identity import Identity
from amllog.journal import artifact_copies
from amllog.process import interrupts
from amllog.record import text
from amllog.sources.artifact_copying import ArtifactCopier
from amllog.sources.emitter import Emitter
from amllog.sources.measurement_records import NOWHERE, MeasurementRecords, Number
from amllog.sources.run.backend import Source


class JournalingRunBackend:
    """A `RunBackend` that writes to the journal."""

    def __init__(
        self,
        emitter: Emitter,
        records: MeasurementRecords,
        flush: Callable[[float], object],
        azure_run: Callable[[], Any],
        notice: Callable[[str, int], object],
    ) -> None:
        """`azure_run` returns azureml's online run or None. `notice` prints a message once, in the driver log."""
        self._emitter, self._records = emitter, records
        self._flush, self._azure_run, self._notice = flush, azure_run, notice

    @property
    def identity(self) -> Identity:
        """The identity of the run. Raises RuntimeError before setup()."""
        resource = self._emitter.resource
        if resource is None:
            raise RuntimeError("amllog.setup() was not called yet: there is no run")
        return resource.identity

    @property
    def online(self) -> bool:
        """Return whether records are addressed to run history."""
        return bool(self._emitter.is_online)

    def metric(self, name: str, value: Number, step: int | None, run_id: str | None) -> None:
        """Record a finite number."""
        self._emitter.guarded(lambda: self._records.metric("run", name, value, step, run_id, {}, NOWHERE))

    def run_record(self, kind: str, name: str, data: Mapping[str, Any], *, run_id: str | None) -> None:
        """Record anything else: lists, rows, tables, strings, tags, files, child runs."""
        data = self._masked(kind, data)
        message = f"{self._emitter.redactor.mask_key(name)[0]}: {_summary(kind, data)}"
        marks = {
            **self._records.run_marks(kind, run_id),
            "run_metric_data": json.dumps(data, ensure_ascii=False),
        }
        self._emitter.guarded(
            lambda: self._records.event("run", name, {}, marks, NOWHERE, level=logging.DEBUG, message=message)
        )

    def script_metric(
        self, kind: str, name: str, data: Mapping[str, Any], run_id: str | None, step: int | None
    ) -> bool:
        """Record a metric that the script logged through azureml's own Run. Return whether it was recorded."""
        refused = self._emitter.refused.total()
        value = _only_number(kind, data)
        if value is None:
            self.run_record(kind, name, data if step is None else {**data, "step": step}, run_id=run_id)
        else:
            self.metric(name, value, step, run_id)
        return self._emitter.refused.total() == refused

    def spool(self, source: Source, name: str) -> str | None:
        """Copy a file for the delivery. Return the name of the copy, or None if it was refused and counted.

        The name is relative to the journal directory. Raises the errors of the source.
        """
        try:
            copier = self._copier()
            if copier is None:
                raise artifact_copies.CopyNotWritten("copy of a file: there is no journal before setup()")
            return copier.copy(source, self._emitter.redactor.mask(name))
        except artifact_copies.CopyNotWritten as error:
            interrupts.pass_on(error)
            self._emitter.refused.add(str(error))
            self._notice(f"files are refused: {error}", logging.WARNING)
            return None

    def copied(self, name: str) -> AbstractContextManager[artifact_copies.ArtifactCopy]:
        """Return the open copy with this name. Raises FileNotFoundError, also once it has been delivered."""
        copier = self._copier()
        return artifact_copies.open_copy(copier.directories() if copier else (), name)

    def azure_run(self) -> Any | None:
        """Return azureml's online run, if there is one."""
        return self._azure_run()

    def flush(self, timeout: float) -> object:
        """Deliver waiting records, for at most `timeout` seconds."""
        return self._flush(timeout)

    def recheck_space(self) -> None:
        """Measure the space again with the next copy, because records were delivered."""
        copier = self._copier()
        if copier is not None:
            copier.recheck_space()

    def _copier(self) -> ArtifactCopier | None:
        resource = self._emitter.resource
        return resource.run.copier if resource is not None else None

    def _masked(self, kind: str, data: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return a record's data without secrets. Arguments of a call are masked by key, cells by column."""
        redactor = self._emitter.redactor
        if kind == "call":
            # The name of a copy is amllog's own.
            file = {"file": data["file"]} if "file" in data else {}
            return {**redactor.mask_values(dict(data)), **file}
        return redactor.mask_metric_table(data)


def _only_number(kind: str, data: Mapping[str, Any]) -> Number | None:
    """Return the finite number that a scalar's data consists of, or None."""
    if kind != "scalar" or len(data["rows"]) != 1 or "type" in data:
        return None
    value = data["rows"][0][0]
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def _summary(kind: str, data: Mapping[str, Any]) -> str:
    """Return a record's data as the driver log shows it."""
    if kind == "call":
        return text.truncate(text.to_text(data), 200)
    rows = data.get("rows", ())
    return text.to_text(rows[0][0]) if kind == "scalar" and rows else f"{len(rows)} rows"
