"""Turn log calls, stdlib records, uncaught exceptions, warnings and prints into drafts.

Nothing here raises into the caller: each entry has a guard that counts a fault of amllog. The path of a log call is
`Messages.log` → `Messages._emit` → `Emitter.emit`.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from types import FrameType
from typing import Any

from amllog.context import current
from amllog.exporters.driver_log import Line
from amllog.process.own_work import THREAD
from amllog.record import dimensions, envelope, log_call, recorded_mark, stacktrace, text
from amllog.record.log_call import CallSite, Event
from amllog.sources.emitter import ECHO, Emitter
from amllog.sources.encoder import Draft, make

# Records in a row of one call site, until it is checked whether lines of the driver log come back to it.
MAX_REPEATS = 200
_BLANK = logging.LogRecord("", 0, "", 0, "", (), None).__dict__
_BLANK_SIZE = len(_BLANK)
_STANDARD = {
    *_BLANK, "message", "asctime", "taskName", "custom_dimensions", "traceId", "spanId", "traceSampled",
    "_absl_log_fatal", "_daiquiri_extra_keys", "_logger", "_name", "color_message",  # of other libraries
}  # fmt: skip
# The severities of the usual levels, so that most log calls need no further call.
_SEVERITIES = {level: envelope.severity(level) for level in (10, 20, 30, 40, 50)}


class Messages:
    """Records with a message or an exception."""

    def __init__(self, emitter: Emitter) -> None:
        self._emitter = emitter
        self._site, self._repeats, self._since = CallSite("", "", 0), 0, 0.0  # of the records in a row

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
        lines: list[Line | None] | None = None,
    ) -> None:
        """Record one call of a logger's method. `shown`: the driver log has it. `lines`: as in `stdlib_record`."""
        try:
            error = log_call.find_exception(values.pop("exc_info", None)) if "exc_info" in values else None
            if "msg" in values and type(event) is str and not event and not args:
                event = values.pop("msg")  # the keyword of logging
            message, extra = log_call.format_call(event, args)
            if "extra" in values:  # scripts that had a stdlib logger pass it
                values = {**log_call.extra_dimensions(values.pop("extra")), **values}
            # The keywords of logging. With any other value, they are dimensions.
            if "stacklevel" in values and type(values["stacklevel"]) is int:
                frame = log_call.caller(frame, values["stacklevel"])
                values = {key: value for key, value in values.items() if key != "stacklevel"}
            if "stack_info" in values and type(values["stack_info"]) is bool:
                stack = {"stack_info": stacktrace.format_stack(frame)} if values["stack_info"] else {}
                values = {**{key: value for key, value in values.items() if key != "stack_info"}, **stack}
            masked: dict[str, str] = {}
            redactor = self._emitter.redactor
            for layer in (current.dimensions(), bound, extra, values):
                if layer:
                    dimensions.add_dimensions(masked, layer, redactor)
            self._emit(level, logger, message, masked, log_call.frame_site(frame), error, shown, lines=lines)
        except Exception as fault:  # the guard of this entry: counted, and reported by status()
            self._emitter.handle_fault(fault)

    def stdlib_record(
        self,
        entry: logging.LogRecord,
        *,
        shown: bool = False,
        lines: list[Line | None] | None = None,
        event: Event | None = None,
    ) -> str | None:
        """Record a stdlib record with its `extra` and a dict as args. Return its message, or None at a fault.

        With `lines`, the line for the driver log is added to them and not written. `event`: the message, the dimensions
        and the exception of a record whose own message is made of them.
        """
        try:
            redactor = self._emitter.redactor
            extra, bound = entry.__dict__, current.dimensions()
            layers: list[Mapping[Any, object]] = [bound] if bound else []
            parts = log_call.dict_event(entry.msg) if type(entry.msg) is dict and not entry.args else None
            if event is not None:
                layers.append(event.values or {})
            elif len(extra) > _BLANK_SIZE:  # only then there may be keys of the script
                layers.append({key: extra[key] for key in extra.keys() - _STANDARD})
                if isinstance(extra.get("custom_dimensions"), Mapping):
                    layers.append(extra["custom_dimensions"])
            if event is None and parts is not None:
                layers.append(parts.values)
            args = entry.args if event is None else ()
            if type(args) is not tuple and isinstance(args, Mapping) and "%(" not in text.to_text(entry.msg):
                layers.append(args)
            masked: dict[str, str] = {}
            for layer in layers:
                dimensions.add_dimensions(masked, layer, redactor)
            if entry.stack_info:
                masked["stack_info"] = redactor.mask_and_truncate(
                    text.to_text(entry.stack_info), envelope.MAX_VALUE
                )
            call_site = log_call.record_site(entry)
            error = log_call.find_exception(entry.exc_info) if entry.exc_info else None
            parent = current.logged_span(extra) if "traceId" in extra else None
            message = log_call.format_record(entry) if parts is None else parts.message
            if event is not None:
                message, error, call_site = event.message, error or event.error, event.site or call_site
            self._emit(
                entry.levelno, text.to_text(entry.name), message, masked, call_site, error, shown,
                seconds=entry.created, level_name=entry.levelname, parent=parent, lines=lines,
            )  # fmt: skip
            return message
        except Exception as fault:  # the guard of this entry
            self._emitter.handle_fault(fault)
            return None

    def foreign_record(
        self,
        level: int,
        level_name: str,
        logger: str,
        message: str,
        values: Mapping[Any, object],
        error: BaseException | None,
        call_site: CallSite,
        seconds: float,
        *,
        shown: bool,
    ) -> None:
        """Record a record of another logging library, which may have levels between those of logging.

        `seconds`: its time, 0 for now. `shown`: the driver log has the line already.
        """
        try:
            masked: dict[str, str] = {}
            for layer in (current.dimensions(), values):
                if layer:
                    dimensions.add_dimensions(masked, layer, self._emitter.redactor)
            self._emit(
                level, logger, message, masked, call_site, error, shown,
                seconds=seconds, level_name=level_name, severity=envelope.severity(level - level % 10),
            )  # fmt: skip
        except Exception as fault:  # the guard of this entry
            self._emitter.handle_fault(fault)

    def finish_lines(self, lines: list[Line | None], shown: bool) -> None:
        """Write the lines of records that are in the journal already. `shown`: a handler has shown them meanwhile."""
        for line in lines:
            self._emitter.finish_line(line, shown)

    def uncaught(self, message: str, error: BaseException, logger: str) -> None:
        """Record an uncaught exception. Python shows it on the driver log."""
        try:
            bound, span = current.context_of_error(error)
            masked = dimensions.to_dimensions(bound, self._emitter.redactor)
            parent = ("", span) if span else None
            call_site = log_call.exception_site(error)
            self._emit(logging.CRITICAL, logger, message, masked, call_site, error, True, parent=parent)
        except Exception as fault:  # the guard of this entry
            self._emitter.handle_fault(fault)

    def captured_line(self, level: int, logger: str, message: str, call_site: CallSite) -> None:
        """Record a warning or a print. Python shows it on the driver log."""
        if level < self._emitter.threshold:
            return
        try:
            masked = dimensions.to_dimensions(current.dimensions(), self._emitter.redactor)
            self._emit(level, logger, message, masked, call_site, None, True)
        except Exception as fault:  # the guard of this entry
            self._emitter.handle_fault(fault)

    def _emit(
        self,
        level: int,
        logger: str,
        message: str,
        masked: dict[str, str],
        call_site: CallSite,
        error: BaseException | None,
        shown: bool,
        *,
        seconds: float = 0.0,
        level_name: str = "",
        parent: tuple[str, str] | None = None,
        lines: list[Line | None] | None = None,
        severity: int | None = None,
    ) -> None:
        """Emit the draft of a message or an exception, with its line for the driver log."""
        emitter = self._emitter
        driver_log, redactor = emitter.driver_log, emitter.redactor
        seconds = seconds or time.time()
        if call_site is self._site:
            self._repeats += 1
            if self._repeats == MAX_REPEATS:
                driver_log.end_loop((logger, *call_site), seconds - self._since)
                self._repeats, self._since = 0, seconds
        else:
            self._site, self._repeats, self._since = call_site, 0, seconds
        if (driver_log.mark in message or driver_log.echoes.sites) and not THREAD.doing:  # else: `emit`
            site = logger, *call_site
            if driver_log.is_return(message, site):
                return emitter.drop(ECHO)
            shown = shown or site in driver_log.echoes.sites
        message = redactor.mask_and_truncate(message, envelope.MAX_MESSAGE)
        if severity is None:
            severity = _SEVERITIES[level] if level in _SEVERITIES else envelope.severity(level)
        name = level_name or logging.getLevelName(level)
        values, stack = masked, ""
        if error is None:
            kind, data = "MessageData", {"message": message or envelope.EMPTY, "severityLevel": severity}
        else:
            recorded_mark.mark_recorded(error)
            details = stacktrace.exception_details(error, redactor)
            stack = details[0]["stack"]
            data = {
                "exceptions": details,
                "severityLevel": severity,
                "problemId": stacktrace.problem_id(error),
            }
            details[0]["message"] = _joined(message, details[0]["message"])
            kind, values = "ExceptionData", {"message": message[: envelope.MAX_VALUE], **masked}
        line = None
        if not shown and level >= driver_log.level:
            if not stack and masked.get("stack_info", "").startswith(stacktrace.STACK_HEADER):
                masked = masked.copy()
                stack = masked.pop("stack_info")
            logger_name = (redactor.masked_keys.get(logger) or redactor.mask_key(logger))[0]
            line = make(Line, (seconds, level, name, logger_name, message, masked, stack))
        draft = make(Draft, (seconds, level, logger, kind, data, values, call_site, parent, name))
        if lines is not None:
            lines.append(line)
            line = None
        emitter.emit(draft, line, shown)


def _joined(message: str, error: str) -> str:
    """Return the message for the exceptions table: the record's and the exception's."""
    joined = f"{message}: {error}" if message and message != error else error
    return text.truncate(joined, envelope.MAX_MESSAGE)
