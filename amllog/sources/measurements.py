"""Record metrics, events, spans and the end of the step.

Everything is checked before anything is written. Only MetricError is raised, for a metric that is not a number.
"""

from __future__ import annotations

import json
import logging
import math
import secrets
import sys
import time
from collections.abc import Callable, Mapping
from functools import partial
from types import FrameType, TracebackType
from typing import Any

from amllog.context import current, environment
from amllog.context.blocks import Block, Change
from amllog.errors import MetricError
from amllog.exporters.run_metrics import metric_values
from amllog.process import exits
from amllog.record import log_call, text
from amllog.record.log_call import CallSite
from amllog.record.redaction import describe_value
from amllog.sources.emitter import Emitter
from amllog.sources.measurement_records import NOWHERE, MeasurementRecords, Number

_GREATEST = sys.float_info.max


class Measurements:
    """The records of a logger that are not messages."""

    def __init__(
        self, emitter: Emitter, records: MeasurementRecords, remember: Callable[[str, Number], None]
    ) -> None:
        """`remember` keeps a number for the reads of `log.run` where run history does not have it."""
        self._emitter, self._records, self._remember = emitter, records, remember
        self.reset()

    def reset(self) -> None:
        """Return to the state before setup()."""
        self._ended = False
        # Metrics that were NaN or infinite: only the first line of each is at WARNING.
        self._not_finite: set[str] = set()

    def metrics(
        self,
        logger: str,
        values: Mapping[str, object],
        step: int | None,
        dimensions: Mapping[str, object],
        frame: FrameType,
    ) -> None:
        """Record numbers by name. All are checked before any is written."""
        if type(values) is not dict and not isinstance(values, Mapping):
            raise MetricError(f"metrics takes a dict of names and numbers, got {type(values).__name__}")
        number_of_step = metric_values.step_number(step)
        checked = [(metric_values.metric_name(name), _number(name, value)) for name, value in values.items()]
        call_site = log_call.frame_site(frame)

        def write() -> None:
            for name, value in checked:
                if -_GREATEST <= value <= _GREATEST:  # JSON and the service have a number for it
                    self._records.metric(logger, name, value, number_of_step, None, dimensions, call_site)
                else:
                    self._record_not_finite(logger, name, value, number_of_step, dimensions, call_site)
                if not self._emitter.is_online:
                    self._remember(name, value)

        self._emitter.guarded(write)

    def stored_metric(
        self, logger: str, name: object, value: object, step: object, run: Mapping[str, object]
    ) -> None:
        """Record a number that another library stores in a run of its own. It is not sent to run history.

        `run`: the dimensions with the id and the name of that run. A value that is not a number is ignored.
        """

        def write() -> None:
            number = text.to_number(value)
            if number is None:
                return
            key, of_step = text.to_text(name), {} if step is None else {"step": text.to_text(step)}
            if -_GREATEST <= number <= _GREATEST:
                number = float(number) if isinstance(number, bool) else number
                self._records.metric(
                    logger, key, number, None, None, {**run, **of_step}, NOWHERE, addressed=False
                )
            else:
                key, shown = self._emitter.redactor.mask_key(key)[0], text.to_text(float(number))
                data = {"columns": {key: "double"}, "rows": [[shown]]}
                marks = {"value": shown, "run_metric_data": json.dumps(data, ensure_ascii=False)}
                self._records.event(
                    logger,
                    key,
                    {**run, **of_step},
                    marks,
                    NOWHERE,
                    level=logging.DEBUG,
                    message=f"{key} = {shown}",
                )

        self._emitter.guarded(write)

    def event(self, logger: str, name: str, dimensions: Mapping[str, object], frame: FrameType) -> None:
        """Record an event."""
        self._emitter.guarded(
            lambda: self._records.event(
                logger, text.to_text(name), dimensions, {}, log_call.frame_site(frame)
            )
        )

    def span(self, logger: str, name: str, dimensions: Mapping[str, object], frame: FrameType) -> Block:
        """Return a `with` block that records its duration and success at its end, under the span around it."""
        return Block(partial(self._begin_span, logger, name, dimensions, frame))

    def end_step(self, began: float, seconds: float, result: str, *, failed: bool = True) -> bool:
        """Record the step's one request, only once and only for the first rank. Return whether it was recorded now.

        Another process of the step is recorded as a span.
        `seconds`: the duration of the step, which changes of the clock do not affect. An empty `result` means success,
        another one means failure only if `failed`.
        """
        resource = self._emitter.resource
        if resource is None or not self._emitter.is_open or self._ended:
            return False
        identity = resource.identity
        if identity.rank not in (None, 0):
            return False
        if result and failed and identity.has_retry and not identity.is_child:
            return False  # the runner records the end of the last attempt
        self._ended = True
        parent = (identity.operation_id, identity.parent_span_id)
        kind = "RemoteDependencyData" if identity.is_child else "RequestData"
        name = environment.script_name() if identity.is_child else identity.step_name
        try:
            self._emitter.guarded(
                lambda: self._records.span_end(
                    kind,
                    "amllog",
                    name,
                    identity.span_id,
                    began,
                    seconds,
                    result,
                    {},
                    NOWHERE,
                    parent,
                    failed=failed,
                )
            )
        except BaseException:  # of a signal handler: the step has not ended
            self._ended = False
            raise
        return True

    def _begin_span(
        self, logger: str, name: str, dimensions: Mapping[str, object], frame: FrameType
    ) -> Change:
        span_id, began, start = secrets.token_hex(8), time.time(), time.perf_counter()
        call_site, parent = log_call.frame_site(frame), self._emitter.parent()
        variables, values, leave = current.span_change(span_id)

        def end(
            kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
        ) -> None:
            seconds = time.perf_counter() - start
            result = "" if error is None else exits.type_name(error)
            leave(kind, error, trace)
            self._emitter.guarded(
                lambda: self._records.span_end(
                    "RemoteDependencyData", logger, text.to_text(name), span_id, began, seconds, result, dimensions,
                    call_site, parent,
                )
            )  # fmt: skip

        return variables, values, end

    def _record_not_finite(
        self,
        logger: str,
        name: str,
        value: Number,
        step: int | None,
        dimensions: Mapping[str, object],
        call_site: CallSite,
    ) -> None:
        """Record NaN or an infinity as an event with the value as a string: JSON has no number for them."""
        shown = text.to_text(value)
        name = self._emitter.redactor.mask_key(name)[0]
        data: dict[str, Any] = {"columns": {name: "double"}, "rows": [[shown]]}
        marks = {**self._records.run_marks("scalar", None), "value": shown}
        if step is not None:
            data["step"] = step
            marks["step"] = str(step)
        marks["run_metric_data"] = json.dumps(data, ensure_ascii=False)
        level = logging.DEBUG if name in self._not_finite else logging.WARNING
        self._not_finite.add(name)
        self._records.event(
            logger, name, dimensions, marks, call_site, level=level, message=f"{name} = {shown}"
        )


def _number(name: str, value: object) -> Number:
    if type(value) is float:
        return value
    number = text.to_number(value)
    if number is None:
        raise MetricError(
            f"{name}: a metric is a number, got {describe_value(value)} ({type(value).__name__})"
        )
    if isinstance(number, int) and not -_GREATEST <= number <= _GREATEST:
        # No double holds it, and no reader of amllog accepts its digits.
        return math.inf if number > 0 else -math.inf
    return float(number) if isinstance(number, bool) else number
