"""The AzureLogHandler: ours on the root logger, and those that a script makes itself.

In: stdlib records, which ours hands on; handlers that are met on a record's way. Out: calls of the intake; telemetry
processors applied to envelopes. The only room that touches OpenCensus.
"""

from __future__ import annotations

import logging
import sys
import threading
import warnings
from collections.abc import Callable, Iterable
from typing import Any

from amllog.config.parsers import ConnectionString
from amllog.process import safe_import
from amllog.process.interrupts import is_from_signal
from amllog.record import text
from amllog.sources.capture import logging_lock


def root_handler(
    capture: Any, flush: Callable[[float], object], target: ConnectionString, notice: Callable[[str], None]
) -> logging.Handler | None:
    """The handler of an earlier setup(), with its processors and filters, or a new one; None as in `make_handler`.

    `capture`: has the present `handler`, and takes records.
    """
    found: logging.Handler | None = capture.handler
    if not hasattr(found, "amllog_set_target"):
        return make_handler(capture.take, flush, target, notice)
    capture.handler.amllog_set_target(target)
    return found


def make_handler(
    take: Callable[[logging.LogRecord], None],
    flush: Callable[[float], object],
    target: ConnectionString,
    notice: Callable[[str], None],
) -> logging.Handler | None:
    """The one handler for the root logger: an AzureLogHandler by type, whose queue is the journal.

    Its options, filters, level and telemetry processors are those of the stock one; it has no queue, thread or
    storage of its own, and outlives `close()`, which other libraries' `dictConfig` calls. Returns None, after a
    notice, where OpenCensus cannot be imported.
    """
    if not _is_importable(notice):
        return None
    from opencensus.ext.azure.common import Options
    from opencensus.ext.azure.common.protocol import BaseObject
    from opencensus.ext.azure.log_exporter import AzureLogHandler

    class JournalingAzureLogHandler(AzureLogHandler):  # type: ignore[misc]  # OpenCensus has no types
        """Hands each record to amllog's intake. The courier sends it."""

        def __init__(self) -> None:
            logging.Handler.__init__(self)
            logging_lock.unlist_handlers()
            self.amllog_set_target(target)
            self.storage = None
            self._telemetry_processors: list[Callable[[Any], object]] = []

        def amllog_set_target(self, target: ConnectionString) -> None:
            """Say in the options where records are sent to."""
            # Not Options(…): its own parser refuses strings that the portal gives, and reads the environment.
            self.options = Options.__new__(Options)
            BaseObject.__init__(
                self.options, instrumentation_key=target.instrumentation_key, endpoint=target.endpoint
            )

        def createLock(self) -> None:  # noqa: N802  # a method of logging's
            self.lock = None  # as of our plain handler

        def handle(self, record: logging.LogRecord) -> Any:
            """Without the handler's lock: the intake needs none, and the stock one has none since Python 3.13."""
            passed = not self.filters or self.filter(record)
            if passed:
                take(record)
            return passed

        def emit(self, record: logging.LogRecord) -> None:
            take(record)

        def flush(self, timeout: float | None = None) -> None:
            # Without one it is logging.shutdown or dictConfig: everything is in the journal already.
            if timeout:
                flush(timeout)

        def close(self, timeout: float | None = None) -> None:
            """Nothing to close: the session ends with `amllog.shutdown()`."""

        def __repr__(self) -> str:
            return "<JournalingAzureLogHandler of amllog>"

    return JournalingAzureLogHandler()


def _is_importable(notice: Callable[[str], None]) -> bool:
    """Import OpenCensus. Return False, after a notice, if that raises an error."""
    try:
        with safe_import.ordinary_process(), warnings.catch_warnings():
            # What these packages deprecate is not the script's to hear, or to fail at.
            warnings.simplefilter("ignore")
            import opencensus.ext.azure.log_exporter  # noqa: F401  # for its errors
    except Exception as error:  # versions that do not fit together, or an odd process, raise anything
        if is_from_signal(error):
            raise
        reason = f"{type(error).__name__}: {text.to_text(error)}"
        notice(
            f"OpenCensus cannot be imported ({reason}): no AzureLogHandler is made, records are sent all the same"
        )
        return False
    return True


class Processors:
    """Telemetry processors of our handler and of those that we stand in for, as live lists.

    They see OpenCensus' own objects (`envelope.data.baseData.properties`); one that raises is passed over, as the
    stock handler does.
    """

    def __init__(self, handlers: Iterable[logging.Handler]) -> None:
        """Apply what is, or will be, added to these handlers."""
        lists = (getattr(handler, "_telemetry_processors", None) for handler in handlers)
        self._lists: list[list[Callable[[Any], object]]] = [
            found for found in lists if isinstance(found, list)
        ]
        self._failed: list[tuple[Callable[[Any], object], str]] = []
        self._running = threading.local()

    def __bool__(self) -> bool:
        return any(self._lists)

    def __call__(self, envelope: dict[str, Any]) -> bool:
        """Run all over an envelope, in place; False if one of them wants it not to be sent.

        False as well for what a processor logs itself: it would be passed to the processor without end.
        """
        if getattr(self._running, "is_so", False):
            return False
        from opencensus.ext.azure.common.protocol import BaseObject

        wrapped, known = _wrap(BaseObject, envelope), len(self._failed)
        self._running.is_so = True
        try:
            wanted = all(self._passes(processor, wrapped) for found in self._lists for processor in found)
        finally:
            self._running.is_so = False
        envelope.clear()
        envelope.update(wrapped)
        # Now, and once for each: what is said passes through the processors as well.
        for _, reason in self._failed[known:]:
            logger = logging.getLogger("opencensus.ext.azure")
            logger.warning("Telemetry processor failed with: %s.", reason)
        return wanted

    def _passes(self, processor: Callable[[Any], object], envelope: Any) -> bool:
        try:
            return processor(envelope) is not False
        except Exception as error:  # said through logging, as by the stock handler; the record goes on
            if is_from_signal(error):
                raise
            if all(processor is not known for known, _ in self._failed):
                self._failed.append((processor, text.to_text(error)))
            return True


def is_foreign(handler: logging.Handler, ours: logging.Handler | None) -> bool:
    """Whether `handler` is an AzureLogHandler that the script made itself."""
    module = sys.modules.get("opencensus.ext.azure.log_exporter")
    return module is not None and handler is not ours and isinstance(handler, module.AzureLogHandler)


def disable(handler: logging.Handler) -> None:
    """Let a handler pass nothing any more."""
    handler.addFilter(_nothing)


def enable(handler: logging.Handler) -> None:
    """Let it pass again what it did before."""
    handler.removeFilter(_nothing)


def _nothing(entry: logging.LogRecord) -> bool:
    return False


def target_of(handler: Any) -> ConnectionString:
    """Where an AzureLogHandler sends to."""
    options = handler.options
    return ConnectionString(options.instrumentation_key.lower(), options.endpoint.rstrip("/"))


def credential_of(handler: Any) -> Any:
    """The token credential an AzureLogHandler was given, or None."""
    return handler.options.credential


def _wrap(kind: Any, value: Any) -> Any:
    if isinstance(value, dict):
        wrapped = kind()
        for key, item in value.items():
            wrapped[key] = _wrap(kind, item) if key in ("data", "baseData") else item
        return wrapped
    return value
