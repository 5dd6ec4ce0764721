"""The gate that loggers and `log.run` speak to: metrics, events, spans, progress and files → records.

In: calls checked as late as possible, but before anything is written. Out: records of the intake. MetricError for a
metric that is no number; nothing else is raised for what happens on the way.
"""

from __future__ import annotations

import json
import logging
import math
import os
import re
import secrets
import shutil
import time
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, TypeVar, Union

from amllog import calls, context, stacks, text
from amllog.calls import Place
from amllog.errors import MetricError
from amllog.identities import Identity
from amllog.intake import Intake
from amllog.run import Run, Source, cells

T = TypeVar("T")
Number = Union[int, float]
ARTIFACTS = "artifacts"  # below the journal directory: copies of files on their way to run history
_NOWHERE = Place("", "", 0)


class Gate(Intake):
    """Everything that can be asked of amllog between `setup()` and `shutdown()`."""

    def __init__(self, flush: Callable[[float], object]) -> None:
        super().__init__()
        self._flush = flush
        self._run: Run | None = None

    def reset(self) -> None:
        """Back to the state before setup()."""
        super().reset()
        self.online = False  # whether this process's metrics are meant for run history
        self.directory = Path()
        self.real_run: Any = None
        self._run = None
        self._odd: set[str] = set()  # metrics that were NaN or infinite, each said once at WARNING

    @property
    def identity(self) -> Identity:
        """Which run this is; only after setup()."""
        if self._stamp is None:
            raise RuntimeError("amllog.setup() was not called yet: there is no run")
        return self._stamp.identity

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
        at = cells.step_number(step)
        checked = [(cells.metric_name(name), _number(name, value)) for name, value in values.items()]
        place = calls.place(frame)

        def write() -> None:
            for name, value in checked:
                self._scalar(logger, name, value, at, None, dimensions, place)

        self.guarded(write)

    def event(self, logger: str, name: str, dimensions: Mapping[str, object], frame: FrameType) -> None:
        """Something that happened."""
        self.guarded(lambda: self.happen(logger, text.of(name), dimensions, {}, calls.place(frame)))

    @contextmanager
    def span(
        self, logger: str, name: str, dimensions: Mapping[str, object], frame: FrameType
    ) -> Generator[None, None, None]:
        """A piece of work: its duration and success are written at its end, under the span around it."""
        span_id, began, start = secrets.token_hex(8), time.time(), time.perf_counter()
        place, parent, result = calls.place(frame), self.parent(), ""
        try:
            with context.inside(span_id):
                yield
        except BaseException as error:
            result = stacks.type_name(error)
            raise
        finally:
            seconds = time.perf_counter() - start
            kind = "RemoteDependencyData"
            self.guarded(
                lambda: self.timed(
                    kind, logger, text.of(name), span_id, began, seconds, result, dimensions, place, parent
                )
            )

    def progress(
        self, logger: str, items: Iterable[T], description: str, total: int | None, frame: FrameType
    ) -> Iterable[T]:
        """`items`, with a bar where someone watches, else a line in the driver log now and then."""
        from amllog.progress import bar, lines, someone_watches

        if someone_watches():
            return bar(items, description, total)

        def say(message: str, values: dict[str, Any]) -> None:
            self.log(logging.INFO, logger, message, (), values, {}, frame)

        return lines(items, description, total, say)

    def metric(self, name: str, value: Number, step: int | None, run_id: str | None) -> None:
        """A finite number from `log.run`."""
        self.guarded(lambda: self._written("scalar", name, value, step, run_id, {}, _NOWHERE))

    def run_record(self, kind: str, name: str, data: Mapping[str, Any], *, run_id: str | None) -> None:
        """Anything else from `log.run`: lists, rows, tables, texts, tags, files, child runs."""
        says = f"{name}: {_brief(kind, data)}"
        marks = {**self._marks(kind, run_id), "run_metric_data": json.dumps(data, ensure_ascii=False)}
        self.guarded(lambda: self.happen("run", name, {}, marks, _NOWHERE, level=logging.DEBUG, says=says))

    def adopt(
        self, kind: str, name: str, data: Mapping[str, Any], run_id: str | None, step: int | None
    ) -> bool:
        """A metric that the script logged through azureml's own Run; False if it was not journaled."""
        faults = sum(self.faults.values())
        value = _only_number(kind, data)
        if value is None:
            self.run_record(kind, name, data if step is None else {**data, "step": step}, run_id=run_id)
        else:
            self.metric(name, value, step, run_id)
        return sum(self.faults.values()) == faults

    def spool(self, source: Source, name: str) -> str:
        """Keep a copy of a file for the courier; its name below the journal directory."""
        safe = re.sub(r"[^A-Za-z0-9_.-]+", "_", os.path.basename(name))[-100:] or "file"
        relative = f"{ARTIFACTS}/{secrets.token_hex(6)}-{safe}"
        target = self.directory / relative
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(descriptor, "wb") as copy:
            if isinstance(source, bytes):
                copy.write(source)
            elif isinstance(source, (str, os.PathLike)):
                with open(source, "rb") as original:
                    shutil.copyfileobj(original, copy)
            else:
                shutil.copyfileobj(source, copy)
        return relative

    def azure_run(self) -> Any | None:
        """The real online run, if there is one."""
        return self.real_run

    def flush(self, timeout: float) -> object:
        """Deliver what waits, for at most `timeout` seconds."""
        return self._flush(timeout)

    def parent(self) -> tuple[str, str]:
        """(operation id, span id) that a record made here belongs under."""
        found = context.foreign_span()
        if found is not None:
            return found
        if self._stamp is None:
            return "", context.span_id()
        return self._stamp.identity.operation_id, context.span_id() or self._stamp.identity.span_id

    def _scalar(
        self,
        logger: str,
        name: str,
        value: Number,
        step: int | None,
        run_id: str | None,
        dimensions: Mapping[str, object],
        place: Place,
    ) -> None:
        if math.isfinite(value) and abs(value) < 2**1023:
            self._written(logger, name, value, step, run_id, dimensions, place)
        else:
            self._odd_number(logger, name, value, step, dimensions, place)
        if not self.online:
            data = {"columns": {name: "double"}, "rows": [[text.of(value)]]}
            self.run.memory.keep("scalar", name, data)

    def _written(
        self,
        logger: str,
        name: str,
        value: Number,
        step: int | None,
        run_id: str | None,
        dimensions: Mapping[str, object],
        place: Place,
    ) -> None:
        marks = self._marks("scalar", run_id)
        if step is not None:
            marks["step"] = str(step)
        fits = isinstance(value, float) or -(2**63) <= value < 2**63  # else no JSON integer of 64 bits
        self.measure(logger, name, value if fits else float(value), dimensions, marks, place)

    def _odd_number(
        self,
        logger: str,
        name: str,
        value: Number,
        step: int | None,
        dimensions: Mapping[str, object],
        place: Place,
    ) -> None:
        """NaN and infinities, for which JSON has no number: an event, with the value as a text."""
        shown = text.of(value)
        data: dict[str, Any] = {"columns": {name: "double"}, "rows": [[shown]]}
        marks = {**self._marks("scalar", None), "value": shown}
        if step is not None:
            data["step"] = step
            marks["step"] = str(step)
        marks["run_metric_data"] = json.dumps(data, ensure_ascii=False)
        level = logging.DEBUG if name in self._odd else logging.WARNING
        self._odd.add(name)
        self.happen(logger, name, dimensions, marks, place, level=level, says=f"{name} = {shown}")

    def _marks(self, kind: str, run_id: str | None) -> dict[str, str]:
        """What addresses a record to run history; nothing where it is not meant for it."""
        if not self.online:
            return {}
        return {"run_metric": kind} if run_id is None else {"run_metric": kind, "run_id": run_id}


def _number(name: str, value: object) -> Number:
    found = text.number(value)
    if found is None:
        raise MetricError(f"{name}: a metric is a number, got {text.cut(text.of(value), 80)!r}"
                          f" ({type(value).__name__})")  # fmt: skip
    return float(found) if isinstance(found, bool) else found


def _only_number(kind: str, data: Mapping[str, Any]) -> Number | None:
    """The finite number that a scalar's data is, if it is one."""
    if kind != "scalar" or len(data["rows"]) != 1 or "type" in data:
        return None
    value = data["rows"][0][0]
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def _brief(kind: str, data: Mapping[str, Any]) -> str:
    """What a line of the driver log says of a record's data."""
    if kind == "call":
        return text.cut(text.of(data), 200)
    rows = data.get("rows", ())
    return text.of(rows[0][0]) if kind == "scalar" and rows else f"{len(rows)} rows"
