"""Our AzureLogHandler for the root logger, and access to those that a script creates.

Scripts add telemetry processors to an AzureLogHandler, and check for its class. Therefore, our handler has that class.
This is the only module that imports OpenCensus.
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
from amllog.sources.capture.record_taker import RecordTaker


def root_handler(
    capture: Any, flush: Callable[[float], object], target: ConnectionString, notice: Callable[[str], None]
) -> logging.Handler | None:
    """Return the handler of an earlier setup(), with its processors and filters, or a new one. See `make_handler`.

    `capture` has the present `handler`, and the `taker` of records.
    """
    present: logging.Handler | None = capture.handler
    if not hasattr(present, "amllog_set_target"):
        return make_handler(capture.taker, flush, target, notice)
    capture.handler.amllog_set_target(target)
    return present


def make_handler(
    taker: RecordTaker,
    flush: Callable[[float], object],
    target: ConnectionString,
    notice: Callable[[str], None],
) -> logging.Handler | None:
    """Return the handler for the root logger: an AzureLogHandler whose queue is the journal.

    It has the options, filters, level and telemetry processors of the stock handler, but no queue, thread or storage.
    It works after `close()`, which `dictConfig` of other libraries calls. Returns None, after a notice, if OpenCensus
    cannot be imported.
    """
    if not _is_importable(notice):
        return None
    from opencensus.ext.azure.common import Options
    from opencensus.ext.azure.common.protocol import BaseObject
    from opencensus.ext.azure.log_exporter import AzureLogHandler

    class JournalingAzureLogHandler(AzureLogHandler):  # type: ignore[misc]  # OpenCensus has no types
        """Pass each record to amllog, which writes it to the journal."""

        def __init__(self) -> None:
            logging.Handler.__init__(self)
            logging_lock.unlist_handlers()
            self.amllog_set_target(target)
            self.storage = None
            self._telemetry_processors: list[Callable[[Any], object]] = []

        def amllog_set_target(self, target: ConnectionString) -> None:
            """Set the resource that the options name."""
            # Not Options(…): its parser rejects connection strings of the portal, and reads the environment.
            self.options = Options.__new__(Options)
            BaseObject.__init__(
                self.options, instrumentation_key=target.instrumentation_key, endpoint=target.endpoint
            )

        def createLock(self) -> None:  # noqa: N802  # a method of logging's
            self.lock = None  # as of our plain handler

        def handle(self, record: logging.LogRecord) -> Any:
            """Filter and take the record without a lock, as the stock handler does since Python 3.13."""
            passed = not self.filters or taker.passes(self, record)
            if passed:
                taker.take(record)
            return passed

        def emit(self, record: logging.LogRecord) -> None:
            taker.take(record)

        def flush(self, timeout: float | None = None) -> None:
            # Without a timeout, logging.shutdown or dictConfig call it. Everything is in the journal already.
            if timeout:
                flush(timeout)

        def close(self, timeout: float | None = None) -> None:
            """Do nothing. `amllog.shutdown()` ends the session."""

        def __repr__(self) -> str:
            return "<JournalingAzureLogHandler of amllog>"

    return JournalingAzureLogHandler()


def _is_importable(notice: Callable[[str], None]) -> bool:
    """Import OpenCensus. Return False, after a notice, if that raises an error."""
    try:
        with safe_import.ordinary_process(), warnings.catch_warnings():
            # The deprecation warnings of these packages must not reach or end the script.
            warnings.simplefilter("ignore")
            import opencensus.ext.azure.log_exporter  # noqa: F401  # for its errors
    except Exception as error:  # incompatible versions or an unusual process raise anything
        if is_from_signal(error):
            raise
        reason = f"{type(error).__name__}: {text.to_text(error)}"
        notice(f"OpenCensus cannot be imported ({reason}): records are sent without an AzureLogHandler")
        return False
    return True


class Processors:
    """The telemetry processors of our handler and of disabled ones, as live lists.

    They get objects of OpenCensus (`envelope.data.baseData.properties`). One that raises is skipped, as by the stock
    handler.
    """

    def __init__(self, handlers: Iterable[logging.Handler]) -> None:
        """Use the processors that are or will be added to these handlers."""
        lists = (getattr(handler, "_telemetry_processors", None) for handler in handlers)
        self._lists: list[list[Callable[[Any], object]]] = [
            processors for processors in lists if isinstance(processors, list)
        ]
        self._failed: list[tuple[Callable[[Any], object], str]] = []
        self._running = threading.local()

    def __bool__(self) -> bool:
        return any(self._lists)

    def __call__(self, envelope: dict[str, Any]) -> bool:
        """Run all processors on an envelope, in place. Return whether it is to be sent.

        Records that a processor logs are not sent. Otherwise, they would be passed to the processor without end.
        """
        if getattr(self._running, "is_so", False):
            return False
        from opencensus.ext.azure.common.protocol import BaseObject

        wrapped, known = _wrap(BaseObject, envelope), len(self._failed)
        self._running.is_so = True
        try:
            wanted = all(
                self._passes(processor, wrapped) for processors in self._lists for processor in processors
            )
        finally:
            self._running.is_so = False
        envelope.clear()
        envelope.update(wrapped)
        # Once for each, and only now, because this message passes through the processors as well.
        for _, reason in self._failed[known:]:
            logger = logging.getLogger("opencensus.ext.azure")
            logger.warning("Telemetry processor failed with: %s.", reason)
        return wanted

    def _passes(self, processor: Callable[[Any], object], envelope: Any) -> bool:
        try:
            return processor(envelope) is not False
        except Exception as error:  # logged, as by the stock handler, and the record is kept
            if is_from_signal(error):
                raise
            if all(processor is not known for known, _ in self._failed):
                self._failed.append((processor, text.to_text(error)))
            return True


def is_foreign(handler: logging.Handler, ours: logging.Handler | None) -> bool:
    """Return whether `handler` is an AzureLogHandler that the script has created."""
    module = sys.modules.get("opencensus.ext.azure.log_exporter")
    return module is not None and handler is not ours and isinstance(handler, module.AzureLogHandler)


def disable(handler: logging.Handler) -> None:
    """Make a handler reject all records."""
    handler.addFilter(_reject)


def enable(handler: logging.Handler) -> None:
    """Undo `disable`."""
    handler.removeFilter(_reject)


def _reject(entry: logging.LogRecord) -> bool:
    return False


def target_of(handler: Any) -> ConnectionString:
    """Return the resource that an AzureLogHandler sends to."""
    options = handler.options
    return ConnectionString(options.instrumentation_key.lower(), options.endpoint.rstrip("/"))


def credential_of(handler: Any) -> Any:
    """Return the token credential of an AzureLogHandler, or None."""
    return handler.options.credential


def _wrap(kind: Any, value: Any) -> Any:
    if isinstance(value, dict):
        wrapped = kind()
        for key, item in value.items():
            wrapped[key] = _wrap(kind, item) if key in ("data", "baseData") else item
        return wrapped
    return value
