"""The gate that loggers and `log.run` speak to: metrics, events, spans, progress and files → records.

In: calls checked as late as possible, but before anything is written. Out: records of the intake. MetricError for a
metric that is no number; nothing else is raised for what happens on the way.
"""

from __future__ import annotations

import json
import logging
import math
import secrets
import sys
import time
from collections.abc import Iterable, Mapping
from functools import partial
from types import FrameType, TracebackType
from typing import Any, TypeVar

from amllog.context import current, environment
from amllog.context.blocks import Block, Change
from amllog.errors import MetricError
from amllog.exporters.run_metrics import metric_values
from amllog.process import exits
from amllog.record import log_call, text
from amllog.record.log_call import CallSite
from amllog.record.redaction import describe_value
from amllog.sources.run.run import Run
from amllog.sources.run_backend import NOWHERE, Number, RunGate

T = TypeVar("T")
_GREATEST = sys.float_info.max


class Gate(RunGate):
    """Everything that can be asked of amllog between `setup()` and `shutdown()`."""

    def reset(self) -> None:
        """Back to the state before setup()."""
        super().reset()
        self._run: Run | None = None
        self.ends_run = False  # whether run history must be told how the step ended: a job's service knows
        self._ended = False
        self._odd: set[str] = set()  # metrics that were NaN or infinite, each said once at WARNING

    @property
    def run(self) -> Run:
        """The run behind `log.run`."""
        if self._run is None:
            self._run = Run(self)
        return self._run

    def metrics(
        self,
        logger: str,
        values: Mapping[str, object],
        step: int | None,
        dimensions: Mapping[str, object],
        frame: FrameType,
    ) -> None:
        """Numbers under names, checked all before any is written."""
        if type(values) is not dict and not isinstance(values, Mapping):
            raise MetricError(f"metrics takes a dict of names and numbers, got {type(values).__name__}")
        at = metric_values.step_number(step)
        checked = [(metric_values.metric_name(name), _number(name, value)) for name, value in values.items()]
        place = log_call.frame_site(frame)

        def write() -> None:
            for name, value in checked:
                self._scalar(logger, name, value, at, None, dimensions, place)

        self.guarded(write)

    def event(self, logger: str, name: str, dimensions: Mapping[str, object], frame: FrameType) -> None:
        """Something that happened."""
        self.guarded(
            lambda: self.happen(logger, text.to_text(name), dimensions, {}, log_call.frame_site(frame))
        )

    def span(self, logger: str, name: str, dimensions: Mapping[str, object], frame: FrameType) -> Block:
        """A piece of work: its duration and success are written at its end, under the span around it."""
        return Block(partial(self._begin_span, logger, name, dimensions, frame))

    def _begin_span(
        self, logger: str, name: str, dimensions: Mapping[str, object], frame: FrameType
    ) -> Change:
        span_id, began, start = secrets.token_hex(8), time.time(), time.perf_counter()
        place, parent = log_call.frame_site(frame), self.parent()
        variables, values, leave = current.span_change(span_id)

        def left(
            kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
        ) -> None:
            seconds, result = (
                time.perf_counter() - start,
                "" if error is None else exits.type_name(error),
            )
            leave(kind, error, trace)
            self.guarded(
                lambda: self.timed(
                    "RemoteDependencyData", logger, text.to_text(name), span_id, began, seconds, result, dimensions,
                    place, parent,
                )
            )  # fmt: skip

        return variables, values, left

    def progress(
        self, logger: str, items: Iterable[T], description: str, total: int | None, frame: FrameType
    ) -> Iterable[T]:
        """`items`, with a bar where someone watches, else a line in the driver log now and then."""
        from amllog.sources.progress import bar, lines, someone_watches

        if someone_watches():
            return bar(items, description, total)

        def say(message: str, values: dict[str, Any]) -> None:
            self.log(logging.INFO, logger, message, (), values, {}, frame)

        return lines(items, description, total, say)

    def end_step(self, began: float, seconds: float, result: str) -> None:
        """Write the step's one request, once, and only for the first rank; `result` "" is success.

        A child process of the step, started under one of its spans, ends as a span below that one.
        `seconds`: how long the step took, whatever was done to the clock meanwhile.
        """
        if self._forms is None or self._ended or self._forms.stamp.identity.rank not in (None, 0):
            return
        self._ended = True
        who = self._forms.stamp.identity
        under = (who.operation_id, who.parent_span_id)
        kind = "RemoteDependencyData" if who.is_child else "RequestData"
        name = environment.script_name() if who.is_child else who.step_name
        try:
            self.guarded(
                lambda: self.timed(
                    kind, "amllog", name, who.span_id, began, seconds, result, {}, NOWHERE, under
                )
            )
        except BaseException:  # of a signal handler: the step has not ended
            self._ended = False
            raise
        if self.ends_run and not who.is_child:
            self.run_record("call", "run.end", {"status": "FAILED" if result else "FINISHED"}, run_id=None)

    def _scalar(
        self,
        logger: str,
        name: str,
        value: Number,
        step: int | None,
        run_id: str | None,
        dimensions: Mapping[str, object],
        place: CallSite,
    ) -> None:
        if -_GREATEST <= value <= _GREATEST:  # what JSON and the service have a number for
            self._written(logger, name, value, step, run_id, dimensions, place)
        else:
            self._odd_number(logger, name, value, step, dimensions, place)
        if not self.online:
            self.run.memory.keep_scalar(name, value)

    def _odd_number(
        self,
        logger: str,
        name: str,
        value: Number,
        step: int | None,
        dimensions: Mapping[str, object],
        place: CallSite,
    ) -> None:
        """NaN and infinities, for which JSON has no number: an event, with the value as a text."""
        shown = text.to_text(value)
        name = self.redactor.mask_key(name)[0]
        data: dict[str, Any] = {"columns": {name: "double"}, "rows": [[shown]]}
        marks = {**self._marks("scalar", None), "value": shown}
        if step is not None:
            data["step"] = step
            marks["step"] = str(step)
        marks["run_metric_data"] = json.dumps(data, ensure_ascii=False)
        level = logging.DEBUG if name in self._odd else logging.WARNING
        self._odd.add(name)
        self.happen(logger, name, dimensions, marks, place, level=level, says=f"{name} = {shown}")


def _number(name: str, value: object) -> Number:
    if type(value) is float:
        return value
    found = text.to_number(value)
    if found is None:
        raise MetricError(f"{name}: a metric is a number, got {describe_value(value)}"
                          f" ({type(value).__name__})")  # fmt: skip
    if isinstance(found, int) and not -_GREATEST <= found <= _GREATEST:
        return (
            math.inf if found > 0 else -math.inf
        )  # no double holds it, and no reader of ours takes its digits
    return float(found) if isinstance(found, bool) else found
