"""Calls, stdlib records and metrics → records: the one way into the journal and onto the driver log.

In: a message with arguments and dimensions, a `logging.LogRecord`, an exception, a metric, an event, a span.
Out: one line in the journal and one on the driver log. Nothing here raises into the caller, but for a metric that
is no number. The path of a log call: `log` or `take` → `_own` → `_say` → `_keep`.
"""

from __future__ import annotations

import itertools
import logging
import secrets
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from types import FrameType
from typing import Any, NamedTuple

from amllog import calls, context, dimensions, record, stacks, text
from amllog.calls import Place
from amllog.outlets.driver_log import DriverLog, Line
from amllog.redaction import Redactor
from amllog.stamp import Stamp

MAX_EARLY = 1_000  # records made before setup() that are kept for it
_BLANK = logging.LogRecord("", 0, "", 0, "", (), None).__dict__
_BARE = len(_BLANK)
_STANDARD = {
    *_BLANK,
    "message",
    "asctime",
    "taskName",
    "custom_dimensions",
    "traceId",
    "spanId",
    "traceSampled",
}


class Draft(NamedTuple):
    """A record before it has its envelope: what was said, of which kind, and what stands on it alone."""

    seconds: float
    level: int
    logger: str
    kind: str
    data: dict[str, Any]
    own: dict[str, str]
    place: Place
    operation: tuple[str, str] | None = None  # (operation id, parent id) where another tracer set them


class Intake:
    """The gate behind every logger. Before `setup()` it writes the driver log and keeps the first records."""

    def __init__(self) -> None:
        self.strict = False  # in tests: a fault of ours is raised instead of counted
        self.faults: Counter[str] = Counter()
        self.reset()

    def reset(self) -> None:
        """Back to the state before setup()."""
        self.threshold = logging.INFO
        self.driver = DriverLog("auto", logging.INFO, {})
        self.redactor = Redactor()
        self.processors: Callable[[dict[str, Any]], bool] | None = None
        self._append: Callable[[bytes], bool] | None = None
        self._stamp: Stamp | None = None
        self._early: deque[Draft] = deque(maxlen=MAX_EARLY)
        self.renew()

    def renew(self) -> None:
        """A new series of record ids: in a new process, also a forked one."""
        self._series = secrets.token_hex(4)
        self._numbers = itertools.count()

    def open(
        self, stamp: Stamp, append: Callable[[bytes], bool], driver: DriverLog, redactor: Redactor
    ) -> None:
        """Begin to keep records, first those that were made before."""
        record.load_codec()
        self._stamp, self._append, self.driver, self.redactor = stamp, append, driver, redactor
        self.threshold = min(driver.level, stamp.insights_level)
        while self._early:
            self._keep(self._early.popleft())

    def log(
        self,
        level: int,
        logger: str,
        event: object,
        args: tuple[object, ...],
        values: dict[str, Any],
        bound: Mapping[str, object],
        frame: FrameType,
        *,
        shown: bool = False,
    ) -> None:
        """One call of a logger's method; `shown`: the driver log has it already."""
        try:
            error = calls.exception(values.pop("exc_info", None)) if "exc_info" in values else None
            message, extra = calls.message(event, args)
            if "extra" in values:  # as scripts write it that had a stdlib logger
                values = {**calls.extra(values.pop("extra")), **values}
            own = self._own(context.dimensions(), bound, extra, values)
            self._say(level, logger, message, own, calls.place(frame), error, shown)
        except Exception as fault:  # the one guard of this entry: counted, told by status()
            self._fault(fault)

    def take(self, entry: logging.LogRecord, *, shown: bool) -> None:
        """One stdlib record, with `extra`, `custom_dimensions`, and the dict that the old guide passes as args."""
        try:
            extra = entry.__dict__
            layers: list[Mapping[Any, object]] = [context.dimensions()]
            if len(extra) > _BARE:  # only then there may be keys of the script's own
                layers.append({key: extra[key] for key in extra.keys() - _STANDARD})
                if isinstance(extra.get("custom_dimensions"), Mapping):
                    layers.append(extra["custom_dimensions"])
            if isinstance(entry.args, Mapping) and "%(" not in text.of(entry.msg):
                layers.append(entry.args)
            own = self._own(*layers)
            if entry.stack_info:
                own["stack_info"] = self.redactor.masked(text.of(entry.stack_info), record.MAX_VALUE)
            place = Place(entry.module, entry.pathname, entry.lineno)
            error = calls.exception(entry.exc_info)
            operation = context.logged_span(extra) if "traceId" in extra else None
            self._say(
                entry.levelno, text.of(entry.name), calls.formatted(entry), own, place, error, shown,
                seconds=entry.created, level_name=entry.levelname, operation=operation,
            )  # fmt: skip
        except Exception as fault:  # the one guard of this entry
            self._fault(fault)

    def failure(self, message: str, error: BaseException, logger: str) -> None:
        """An exception that nobody caught; Python itself shows it on the driver log."""
        try:
            around, span = context.where_raised(error)
            under = ("", span) if span else None
            place = calls.raised_at(error)
            self._say(
                logging.CRITICAL, logger, message, self._own(around), place, error, True, operation=under
            )
        except Exception as fault:  # the one guard of this entry
            self._fault(fault)

    def tell(self, level: int, logger: str, message: str, place: Place) -> None:
        """Something that Python itself shows on the driver log: a warning, a print."""
        if level < self.threshold:
            return
        try:
            self._say(level, logger, message, self._own(context.dimensions()), place, None, True)
        except Exception as fault:  # the one guard of this entry
            self._fault(fault)

    def guarded(self, work: Callable[[], object]) -> None:
        """Do `work`, and count its fault instead of raising it: for entries that have no guard of their own."""
        try:
            work()
        except Exception as fault:  # counted, told by status()
            self._fault(fault)

    def _own(self, *layers: Mapping[Any, object]) -> dict[str, str]:
        """Dimensions of several layers, the later ones winning, as masked texts."""
        own: dict[str, str] = {}
        for layer in layers:
            if layer:
                dimensions.fill(own, layer, self.redactor)
        return own

    def _say(
        self,
        level: int,
        logger: str,
        message: str,
        own: dict[str, str],
        place: Place,
        error: BaseException | None,
        shown: bool,
        *,
        seconds: float = 0.0,
        level_name: str = "",
        operation: tuple[str, str] | None = None,
    ) -> None:
        """A message or an exception: its draft, and its line on the driver log."""
        message = self.redactor.masked(message, record.MAX_MESSAGE)
        severity = record.severity(level)
        stack = ""
        if error is None:
            kind, data = "MessageData", {"message": message or record.EMPTY, "severityLevel": severity}
        else:
            details = stacks.details(error, self.redactor.mask)
            stack = details[0]["stack"]
            data = {"exceptions": details, "severityLevel": severity, "problemId": stacks.problem_id(error)}
            details[0]["message"] = _joined(message, details[0]["message"])
            kind = "ExceptionData"
        name = level_name or logging.getLevelName(level)
        marks = {"level": name} if error is None else {"level": name, "message": message[: record.MAX_VALUE]}
        draft = Draft(seconds or time.time(), level, logger, kind, data, {**marks, **own}, place, operation)
        self._keep(draft)
        if shown:
            self.driver.seen_elsewhere()
        elif level >= self.driver.level:
            self.driver.write(Line(draft.seconds, level, name, logger, message, own, stack))

    def _keep(self, draft: Draft) -> None:
        """Make the envelope, and append it to the journal."""
        stamp, append = self._stamp, self._append
        if stamp is None or append is None:
            self._early.append(draft)
            return
        properties = stamp.dimensions.copy()
        if draft.place.file:
            properties["module"] = draft.place.module
            properties["fileName"] = draft.place.file
            properties["lineNumber"] = str(draft.place.line)
        properties["logger"] = draft.logger if len(draft.logger) < 256 else text.cut(draft.logger, 256)
        properties.update(draft.own)
        properties["record_id"] = f"{self._series}-{next(self._numbers):x}"
        operation, parent = draft.operation or context.foreign_span() or ("", context.span_id())
        identity = stamp.identity
        if not parent and draft.kind != "RequestData":  # which is the step itself
            parent = identity.span_id
        tags = stamp.sender.tags_of(operation or identity.operation_id, parent)
        key = stamp.sender.key if draft.level >= stamp.insights_level else None
        data = {**draft.data, "properties": properties}
        if self.processors:
            append(self._processed(self.processors, draft, key, tags, data))
        else:
            append(record.encode(draft.seconds, key, tags, draft.kind, data))

    def _processed(
        self,
        process: Callable[[dict[str, Any]], bool],
        draft: Draft,
        key: str | None,
        tags: dict[str, str],
        data: dict[str, Any],
    ) -> bytes:
        """The record after the script's telemetry processors; one that they filter out stays in the journal only."""
        envelope = record.envelope(draft.seconds, key, tags, draft.kind, data)
        wanted = process(envelope)
        properties = envelope["data"]["baseData"].get("properties") or {}
        envelope["data"]["baseData"]["properties"] = self._own(properties)
        envelope["tags"] = {text.of(name): text.of(tag) for name, tag in envelope["tags"].items()}
        if not wanted:
            envelope.pop("iKey", None)
        return record.line(record.ordered(envelope))

    def _fault(self, fault: Exception) -> None:
        if self.strict:
            raise fault
        self.faults[f"amllog: {type(fault).__name__}"] += 1


def _joined(message: str, error: str) -> str:
    """What the exceptions table shows as the message: ours and the exception's."""
    joined = f"{message}: {error}" if message and message != error else error
    return text.cut(joined, record.MAX_MESSAGE)
