"""Calls, stdlib records and metrics → records: the one way into the journal and onto the driver log.

In: a message with arguments and dimensions, a `logging.LogRecord`, an exception, a metric, an event, a span.
Out: one line in the journal and one on the driver log. Nothing here raises into the caller, but for a metric that
is no number. The path of a log call: `log` or `take` → `_own` → `_say` → `_keep`.
"""

from __future__ import annotations

import itertools
import logging
import secrets
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping
from functools import partial
from types import FrameType
from typing import Any

from amllog.context import current
from amllog.exporters.driver_log import DriverLog, Line
from amllog.journal.refused_counts import RefusedCounts
from amllog.process import fork_detection
from amllog.process.interrupts import pass_on, suppress
from amllog.record import dimensions, envelope, log_call, stacktrace, text
from amllog.record.log_call import CallSite
from amllog.record.redaction import Redactor
from amllog.sources.encoder import Draft, Encoder, make
from amllog.sources.resource import Resource

MAX_EARLY = 1_000  # records made before setup() that are kept for it
_TOO_EARLY = f"more than {MAX_EARLY:,} records before setup()"
_BLANK = logging.LogRecord("", 0, "", 0, "", (), None).__dict__
_BARE = len(_BLANK)
_STANDARD = {
    *_BLANK, "message", "asctime", "taskName", "custom_dimensions", "traceId", "spanId", "traceSampled",
}  # fmt: skip


class Emitter:
    """The gate behind every logger. Before `setup()` it writes the driver log and keeps the first records."""

    def __init__(
        self, faults: RefusedCounts | None = None, in_child: Callable[[], None] | None = None
    ) -> None:
        """`in_child`: called before the first record of a child process that was forked without Python's hooks."""
        self.strict = False  # in tests: a fault of ours is raised instead of counted
        self.faults = faults or RefusedCounts()
        self._in_child = in_child or self.forked
        self._early: deque[Draft] = deque()  # one for the process: threads may add to it during a reset()
        self.reset()

    def reset(self) -> None:
        """Back to the state before setup()."""
        self.threshold = logging.INFO
        self.driver = DriverLog("auto", logging.INFO, {})
        self.redactor = Redactor()
        self._append: Callable[[bytes], bool] | None = None
        self._forms: Encoder | None = None
        self.renew()

    def forked(self) -> None:
        """In a forked child: what waits for setup() is the parent's, which has it too. Safe to repeat."""
        self.renew()
        self._early.clear()
        self.driver.forked()

    def renew(self) -> None:
        """A new series of record ids: in a new process, also a forked one."""
        self._process = fork_detection.page()
        # Together: no id of one series with a number of the other.
        self._ids = secrets.token_hex(4), itertools.count()

    def open(
        self, stamp: Resource, append: Callable[[bytes], bool], driver: DriverLog, redactor: Redactor
    ) -> None:
        """Begin to keep records, first those that were made before."""
        self._append, self.driver, self.redactor = append, driver, redactor
        self._forms = Encoder(stamp, redactor)
        self.threshold = min(driver.level, stamp.insights_level)
        self._keep_early()

    def close(self) -> None:
        """Keep no records any more: those that come wait for the next setup()."""
        self._append = self._forms = None

    def forget_early(self) -> None:
        """Drop the records that wait for setup()."""
        self._early.clear()

    def process(self, processors: Callable[[dict[str, Any]], bool]) -> None:
        """Pass every envelope through the script's telemetry processors from now on."""
        if self._forms is not None:
            self._forms.processors = processors

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
            error = log_call.find_exception(values.pop("exc_info", None)) if "exc_info" in values else None
            message, extra = log_call.format_call(event, args)
            if "extra" in values:  # as scripts write it that had a stdlib logger
                values = {**log_call.extra_dimensions(values.pop("extra")), **values}
            if values.get("stack_info") is True:  # logging's keyword; with any other value, a dimension
                values = {**values, "stack_info": stacktrace.format_stack(frame)}
            own = self._own(current.dimensions(), bound, extra, values)
            self._say(level, logger, message, own, log_call.frame_site(frame), error, shown)
        except Exception as fault:  # the one guard of this entry: counted, told by status()
            self._fault(fault)

    def take(self, entry: logging.LogRecord, *, shown: bool) -> str | None:
        """Keep one stdlib record with its `extra` and a dict as args. Return its message, or None at a fault."""
        try:
            if self.driver.writing and self.driver.is_writing(log_call.format_record(entry)):
                return None  # of a stdout that logs what is written to it
            extra, bound = entry.__dict__, current.dimensions()
            layers: list[Mapping[Any, object]] = [bound] if bound else []
            if len(extra) > _BARE:  # only then there may be keys of the script's own
                layers.append({key: extra[key] for key in extra.keys() - _STANDARD})
                if isinstance(extra.get("custom_dimensions"), Mapping):
                    layers.append(extra["custom_dimensions"])
            args = entry.args
            if type(args) is not tuple and isinstance(args, Mapping) and "%(" not in text.to_text(entry.msg):
                layers.append(args)
            own = self._own(*layers) if layers else {}
            if entry.stack_info:
                own["stack_info"] = self.redactor.mask_and_truncate(
                    text.to_text(entry.stack_info), envelope.MAX_VALUE
                )
            place = log_call.record_site(entry)
            error = log_call.find_exception(entry.exc_info) if entry.exc_info else None
            operation = current.logged_span(extra) if "traceId" in extra else None
            self._say(
                entry.levelno, text.to_text(entry.name), message := log_call.format_record(entry), own, place, error,
                shown, seconds=entry.created, level_name=entry.levelname, operation=operation,
            )  # fmt: skip
            return message
        except Exception as fault:  # the one guard of this entry
            self._fault(fault)
            return None

    def failure(self, message: str, error: BaseException, logger: str) -> None:
        """An exception that nobody caught; Python itself shows it on the driver log."""
        try:
            around, span = current.context_of_error(error)
            under = ("", span) if span else None
            place = log_call.exception_site(error)
            self._say(
                logging.CRITICAL, logger, message, self._own(around), place, error, True, operation=under
            )
        except Exception as fault:  # the one guard of this entry
            self._fault(fault)

    def tell(self, level: int, logger: str, message: str, place: CallSite) -> None:
        """Something that Python itself shows on the driver log: a warning, a print."""
        if level < self.threshold:
            return
        try:
            self._say(level, logger, message, self._own(current.dimensions()), place, None, True)
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
                dimensions.add_dimensions(own, layer, self.redactor)
        return own

    def _say(
        self,
        level: int,
        logger: str,
        message: str,
        own: dict[str, str],
        place: CallSite,
        error: BaseException | None,
        shown: bool,
        *,
        seconds: float = 0.0,
        level_name: str = "",
        operation: tuple[str, str] | None = None,
    ) -> None:
        """A message or an exception: its draft, and its line on the driver log."""
        message = self.redactor.mask_and_truncate(message, envelope.MAX_MESSAGE)
        severity = envelope.severity(level)
        stack = ""
        if error is None:
            kind, data = "MessageData", {"message": message or envelope.EMPTY, "severityLevel": severity}
        else:
            details = stacktrace.exception_details(error, self.redactor)
            stack = details[0]["stack"]
            data = {
                "exceptions": details,
                "severityLevel": severity,
                "problemId": stacktrace.problem_id(error),
            }
            details[0]["message"] = _joined(message, details[0]["message"])
            kind = "ExceptionData"
        name = level_name or logging.getLevelName(level)
        said = {"message": message[: envelope.MAX_VALUE], **own} if error is not None else own
        seconds = seconds or time.time()
        self._keep(make(Draft, (seconds, level, logger, kind, data, said, place, operation, name)))
        if shown:
            self.driver.count_delivered()
        elif level >= self.driver.level:
            if not stack and own.get("stack_info", "").startswith(stacktrace.STACK_HEADER):
                own, stack = {**own}, own["stack_info"]
                del own["stack_info"]
            shown_as = (self.redactor.masked_keys.get(logger) or self.redactor.mask_key(logger))[0]
            self.driver.write(make(Line, (seconds, level, name, shown_as, message, own, stack)))

    def parent(self) -> tuple[str, str]:
        """(operation id, span id) that a record made here belongs under."""
        modules = sys.modules
        if current.OPENTELEMETRY in modules or current.OPENCENSUS in modules:
            found = current.foreign_span()
            if found is not None:
                return found
        forms = self._forms  # once: another thread may be closing
        if forms is None:
            return current.operation_id(), current.span_id()
        identity = forms.stamp.identity
        return current.operation_id() or identity.operation_id, current.span_id() or identity.span_id

    def _keep_early(self) -> None:
        while self._early and self._forms is not None and self._append is not None:
            taken: list[Draft] = []
            try:
                with suppress(IndexError):  # another thread had the last one
                    taken.extend(map(deque.popleft, (self._early,)))  # in C, where no signal handler runs
                for draft in taken:
                    # setup() knows of more secrets than there were then.
                    own, data = (
                        dimensions.remask_dimensions(draft.own, self.redactor),
                        self.redactor.mask_values(draft.data),
                    )
                    self.guarded(partial(self._keep, draft._replace(own=own, data=data)))
                taken.clear()
            finally:
                self._early.extendleft(taken)  # what a signal handler has interrupted

    def _keep(self, draft: Draft) -> None:
        """Make the line, and append it to the journal."""
        if not self._process[0]:  # forked in C, where Python calls no hook
            self._in_child()
        forms, append = self._forms, self._append
        if forms is None or append is None:
            self._keep_for_setup(draft, None)
            return
        operation, parent = draft.operation or self.parent()
        identity = forms.stamp.identity
        if not parent and draft.kind != "RequestData":  # which is the step itself
            parent = identity.span_id
        series, numbers = self._ids
        record_id = f"{series}-{next(numbers):x}"
        if append(forms.line(draft, record_id, (operation or identity.operation_id, parent))) is False:
            self._keep_for_setup(draft, forms)  # shutdown() came meanwhile, in another thread

    def _keep_for_setup(self, draft: Draft, forms: Encoder | None) -> None:
        """Keep a record for the next setup(); of too many, the oldest is dropped and counted."""
        self._early.append(draft._replace(operation=draft.operation or self.parent()))
        if len(self._early) > MAX_EARLY:
            try:
                self._early.popleft()
                self.faults.add(_TOO_EARLY)
            except IndexError:  # another thread had the last one
                return
        if self._forms is not forms:  # in another thread, setup() has come meanwhile
            self._keep_early()

    def _fault(self, fault: Exception) -> None:
        pass_on(fault)
        if self.strict:
            raise fault
        self.faults.add(f"amllog: {type(fault).__name__}")


def _joined(message: str, error: str) -> str:
    """Return the message for the exceptions table: ours and the exception's."""
    joined = f"{message}: {error}" if message and message != error else error
    return text.truncate(joined, envelope.MAX_MESSAGE)
