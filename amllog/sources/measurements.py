"""Metrics, events and spans → records: what no level holds back.

In: names with numbers, durations and dimensions. Out: one line each in the journal, and on the driver log at a level.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from typing import Any

from amllog.context import current
from amllog.exporters.driver_log import Line
from amllog.record import envelope, text
from amllog.record.log_call import CallSite
from amllog.sources.emitter import Emitter
from amllog.sources.encoder import Draft, make


class Measurements(Emitter):
    """The intake, for what is no message."""

    def measure(
        self,
        logger: str,
        name: str,
        value: float,
        dimensions: Mapping[str, object],
        marks: Mapping[str, str],
        place: CallSite,
    ) -> None:
        """One finite number under a name; `marks` (step, run_metric, …) stand beside the dimensions."""
        own = {**self._own(current.dimensions(), dimensions), **marks}
        name = text.truncate(self.redactor.mask_key(name)[0], envelope.MAX_KEY)
        data = {"metrics": [{"name": name, "value": value, "count": 1}]}
        draft = make(Draft, (time.time(), logging.CRITICAL, logger, "MetricData", data, own, place, None, ""))
        self._keep(draft)
        if self.driver.level <= logging.DEBUG:
            self._show(draft, logging.DEBUG, f"{name} = {text.to_text(value)}")

    def happen(
        self,
        logger: str,
        name: str,
        dimensions: Mapping[str, object],
        marks: Mapping[str, str],
        place: CallSite,
        *,
        level: int = logging.INFO,
        says: str = "",
    ) -> None:
        """One event; `says` is its line in the driver log, where it is not its name."""
        own = {**self._own(current.dimensions(), dimensions), **marks}
        data = {"name": self.redactor.mask_name(name, envelope.MAX_EVENT_NAME) or envelope.EMPTY}
        draft = Draft(time.time(), logging.CRITICAL, logger, "EventData", data, own, place)
        self._keep(draft)
        self._show(draft, level, self.redactor.mask_and_truncate(says or name, envelope.MAX_MESSAGE))

    def timed(
        self,
        kind: str,
        logger: str,
        name: str,
        span_id: str,
        began: float,
        seconds: float,
        result: str,
        dimensions: Mapping[str, object],
        place: CallSite,
        parent: tuple[str, str] | None,
    ) -> None:
        """A span (RemoteDependencyData) or the step itself (RequestData) at its end; `result` "" is success."""
        own = self._own(current.dimensions(), dimensions)
        data: dict[str, Any] = {
            "name": self.redactor.mask_and_truncate(name, envelope.MAX_NAME) or envelope.EMPTY,
            "id": span_id,
            "duration": envelope.format_duration(seconds),
            "success": not result,
        }
        data["responseCode" if kind == "RequestData" else "resultCode"] = result or "0"
        if kind == "RemoteDependencyData":
            data["type"] = "InProc"
        outcome = f"failed ({result})" if result else "done"
        draft = Draft(began, logging.CRITICAL, logger, kind, data, own, place, parent)
        self._keep(draft)
        ended = draft._replace(seconds=began + seconds)  # when this line is written, as for all lines
        self._show(ended, logging.DEBUG, f"{data['name']}: {outcome} after {seconds:.3f} s")

    def _show(self, draft: Draft, level: int, says: str) -> None:
        """A line on the driver log for a record that no level holds back."""
        if level >= self.driver.level:
            name, logger = logging.getLevelName(level), self.redactor.mask_key(draft.logger)[0]
            self.driver.write(Line(draft.seconds, level, name, logger, says, _without_marks(draft.own)))


def _without_marks(own: dict[str, str]) -> dict[str, str]:
    """Dimensions as the driver log shows them: not those that only tell the outlets what to do."""
    return {key: value for key, value in own.items() if not key.startswith("run_metric")}
