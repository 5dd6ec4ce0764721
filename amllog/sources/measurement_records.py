"""Emit the records of metrics, events and spans. No level holds them back."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from typing import Any, Union

from amllog.context import current
from amllog.exporters.driver_log import Line
from amllog.record import dimensions, envelope, text
from amllog.record.log_call import CallSite
from amllog.sources.emitter import Emitter
from amllog.sources.encoder import Draft, make

Number = Union[int, float]
# The call site of records that no line of the script makes.
NOWHERE = CallSite("", "", 0)


class MeasurementRecords:
    """Build the drafts of metrics, events and spans, and their lines for the driver log."""

    def __init__(self, emitter: Emitter) -> None:
        self._emitter = emitter

    def run_marks(self, kind: str, run_id: str | None) -> dict[str, str]:
        """Return the dimensions that address a record to run history. If metrics are not sent there, only the run.

        `run_id`: None means the process's own run.
        """
        online = self._emitter.is_online
        if not online and (online is not None or not self._emitter.join()):
            return {} if run_id is None else {"run_id": run_id}
        return {"run_metric": kind} if run_id is None else {"run_metric": kind, "run_id": run_id}

    def metric(
        self,
        logger: str,
        name: str,
        value: Number,
        step: int | None,
        run_id: str | None,
        values: Mapping[str, object],
        call_site: CallSite,
        *,
        addressed: bool = True,
    ) -> None:
        """Record one finite number. `values`: the dimensions of the call. `addressed`: send it to run history."""
        marks = self.run_marks("scalar", run_id) if addressed else {}
        if step is not None:
            marks["step"] = str(step)
        # Readers of JSON expect integers of 64 bits. A larger one becomes a double.
        fits = isinstance(value, float) or -(2**63) <= value < 2**63
        number = value if fits else float(value)
        masked = {**self._dimensions(values), **marks}
        emitter = self._emitter
        name = text.truncate(emitter.redactor.mask_key(name)[0], envelope.MAX_KEY)
        data = {"metrics": [{"name": name, "value": number, "count": 1}]}
        draft = make(
            Draft, (time.time(), logging.CRITICAL, logger, "MetricData", data, masked, call_site, None, "")
        )
        line = None
        if emitter.driver_log.level <= logging.DEBUG:
            line = self._line(draft, logging.DEBUG, f"{name} = {text.to_text(number)}")
        emitter.emit(draft, line)

    def event(
        self,
        logger: str,
        name: str,
        values: Mapping[str, object],
        marks: Mapping[str, str],
        call_site: CallSite,
        *,
        level: int = logging.INFO,
        message: str = "",
    ) -> None:
        """Record one event. `message` is its line on the driver log at `level`, without one its name."""
        masked = {**self._dimensions(values), **marks}
        redactor = self._emitter.redactor
        data = {"name": redactor.mask_name(name, envelope.MAX_EVENT_NAME) or envelope.EMPTY}
        draft = Draft(time.time(), logging.CRITICAL, logger, "EventData", data, masked, call_site)
        self._emitter.emit(
            draft, self._line(draft, level, redactor.mask_and_truncate(message or name, envelope.MAX_MESSAGE))
        )

    def span_end(
        self,
        kind: str,
        logger: str,
        name: str,
        span_id: str,
        began: float,
        seconds: float,
        result: str,
        values: Mapping[str, object],
        call_site: CallSite,
        parent: tuple[str, str] | None,
        *,
        failed: bool = True,
    ) -> None:
        """Record a span (RemoteDependencyData) or the step itself (RequestData).

        An empty `result` means success, another one means failure only if `failed`.
        """
        masked = self._dimensions(values)
        data: dict[str, Any] = {
            "name": self._emitter.redactor.mask_and_truncate(name, envelope.MAX_NAME) or envelope.EMPTY,
            "id": span_id,
            "duration": envelope.format_duration(seconds),
            "success": not (result and failed),
        }
        data["responseCode" if kind == "RequestData" else "resultCode"] = result or "0"
        if kind == "RemoteDependencyData":
            data["type"] = "InProc"
        outcome = "done" if not result else f"failed ({result})" if failed else result
        draft = Draft(began, logging.CRITICAL, logger, kind, data, masked, call_site, parent)
        # Lines of the driver log have the time at which they are written.
        ended = draft._replace(seconds=began + seconds)
        message = f"{data['name']}: {outcome} after {seconds:.3f} s"
        self._emitter.emit(draft, self._line(ended, logging.DEBUG, message))

    def _dimensions(self, values: Mapping[str, object]) -> dict[str, str]:
        """Return the bound dimensions and those of the call, which win, as masked strings."""
        masked: dict[str, str] = {}
        for layer in (current.dimensions(), values):
            if layer:
                dimensions.add_dimensions(masked, layer, self._emitter.redactor)
        return masked

    def _line(self, draft: Draft, level: int, message: str) -> Line | None:
        """Return the line for the driver log, without what addresses run history. None if its level is higher."""
        if level < self._emitter.driver_log.level:
            return None
        masked = {key: value for key, value in draft.dimensions.items() if not key.startswith("run_metric")}
        logger = self._emitter.redactor.mask_key(draft.logger)[0]
        return Line(draft.seconds, level, logging.getLevelName(level), logger, message, masked)
