"""The public logger: structlog's `bind`, `unbind` and `new`, and amllog's methods.

A logger holds the recorder of the process. Therefore, loggers that were made before `setup()` work after it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, TypeVar

from amllog.process import safe_import
from amllog.record import text
from amllog.record.redaction import Redactor, describe_value

with safe_import.ordinary_process():
    from structlog import BoundLoggerBase

if TYPE_CHECKING:
    from amllog.sources.recorder import Recorder
    from amllog.sources.run.run import Run

DEBUG, INFO, WARNING, ERROR, CRITICAL = 10, 20, 30, 40, 50
T = TypeVar("T")
# For the repr of a logger.
_REDACTOR = Redactor()


class WrappedLogger:
    """A logger's name and the recorder that it writes to: what structlog calls the wrapped logger."""

    __slots__ = ("emitter", "find", "messages", "name", "recorder")

    def __init__(self, name: str, recorder: Recorder, find: Callable[[str], WrappedLogger]) -> None:
        """`find` returns the wrapped logger of a name. A pickled logger finds its recorder with it."""
        self.name = name
        self.recorder = recorder
        # Parts of the recorder that each log call needs.
        self.emitter = recorder.emitter
        self.messages = recorder.messages
        self.find = find

    def __reduce__(self) -> tuple[Callable[[str], WrappedLogger], tuple[str]]:
        return self.find, (self.name,)

    def __repr__(self) -> str:
        return f"<WrappedLogger {self.name}>"


class Logger(BoundLoggerBase):
    """Log messages, metrics, events and spans, with dimensions as keyword arguments.

    `bind`, `unbind`, `try_unbind` and `new` are structlog's. Below the level, a call does nothing.
    """

    _logger: WrappedLogger
    _context: dict[str, Any]

    def debug(self, event: object = "", /, *args: object, **dimensions: Any) -> None:
        """Log at DEBUG. `args` are for `%` formatting, as in logging."""
        wrapped = self._logger
        if wrapped.emitter.threshold <= DEBUG:
            wrapped.messages.log(
                DEBUG, wrapped.name, event, args, dimensions, self._context, sys._getframe(1)
            )

    def info(self, event: object = "", /, *args: object, **dimensions: Any) -> None:
        """Log at INFO."""
        wrapped = self._logger
        if wrapped.emitter.threshold <= INFO:
            wrapped.messages.log(INFO, wrapped.name, event, args, dimensions, self._context, sys._getframe(1))

    def warning(self, event: object = "", /, *args: object, **dimensions: Any) -> None:
        """Log at WARNING."""
        wrapped = self._logger
        if wrapped.emitter.threshold <= WARNING:
            wrapped.messages.log(
                WARNING, wrapped.name, event, args, dimensions, self._context, sys._getframe(1)
            )

    def error(self, event: object = "", /, *args: object, **dimensions: Any) -> None:
        """Log at ERROR. With `exc_info=True`, log the exception that is being handled."""
        wrapped = self._logger
        if wrapped.emitter.threshold <= ERROR:
            wrapped.messages.log(
                ERROR, wrapped.name, event, args, dimensions, self._context, sys._getframe(1)
            )

    def critical(self, event: object = "", /, *args: object, **dimensions: Any) -> None:
        """Log at CRITICAL."""
        wrapped = self._logger
        if wrapped.emitter.threshold <= CRITICAL:
            wrapped.messages.log(
                CRITICAL, wrapped.name, event, args, dimensions, self._context, sys._getframe(1)
            )

    def exception(self, event: object = "", /, *args: object, **dimensions: Any) -> None:
        """Log at ERROR with the exception that is being handled, as a row of the exceptions table."""
        wrapped = self._logger
        if wrapped.emitter.threshold <= ERROR:
            dimensions.setdefault("exc_info", True)
            wrapped.messages.log(
                ERROR, wrapped.name, event, args, dimensions, self._context, sys._getframe(1)
            )

    def log(self, level: int, event: object = "", /, *args: object, **dimensions: Any) -> None:
        """Log at any level number. Raises TypeError if `level` is not a number."""
        wrapped = self._logger
        if not isinstance(level, int):
            raise TypeError(f"a level is a number such as logging.INFO, got {describe_value(level)}")
        if wrapped.emitter.threshold <= level:
            wrapped.messages.log(
                level, wrapped.name, event, args, dimensions, self._context, sys._getframe(1)
            )

    warn = warning
    fatal = critical
    err = error
    msg = info

    def metric(self, name: str, value: object, *, step: int | None = None, **dimensions: Any) -> None:
        """Log a number as a run metric (in the portal's chart) and as a row of customMetrics.

        Raises MetricError if `value` is not a number or `name` is not valid. NaN and infinities are kept as strings.
        """
        wrapped = self._logger
        wrapped.recorder.measurements.metrics(
            wrapped.name, {name: value}, step, {**self._context, **dimensions}, sys._getframe(1)
        )

    def metrics(self, values: Mapping[str, object], *, step: int | None = None, **dimensions: Any) -> None:
        """Log several metrics. Nothing is logged if one of them is not a number."""
        wrapped = self._logger
        wrapped.recorder.measurements.metrics(
            wrapped.name, values, step, {**self._context, **dimensions}, sys._getframe(1)
        )

    def event(self, name: str, /, **dimensions: Any) -> None:
        """Log an event as a row of customEvents."""
        wrapped = self._logger
        wrapped.recorder.measurements.event(
            wrapped.name, name, {**self._context, **dimensions}, sys._getframe(1)
        )

    def span(self, name: str, /, **dimensions: Any) -> AbstractContextManager[None]:
        """Record a block, as in `with log.span("load data"):`, as a row of dependencies with duration and success.

        Spans nest.
        """
        wrapped = self._logger
        return wrapped.recorder.measurements.span(
            wrapped.name, name, {**self._context, **dimensions}, sys._getframe(1)
        )

    def progress(
        self, items: Iterable[T], description: str = "progress", *, total: int | None = None
    ) -> Iterable[T]:
        """Iterate over `items` and show the progress.

        It is a bar on a terminal and in a notebook, and otherwise a record every ten seconds.
        """
        from amllog.sources import progress

        wrapped, frame = self._logger, sys._getframe(1)

        def log_line(message: str) -> None:
            wrapped.messages.log(INFO, wrapped.name, message, (), {}, {}, frame)

        return progress.track(items, description, total, log_line)

    @property
    def run(self) -> Run:
        """The run, with azureml's names and signatures, online and offline."""
        return self._logger.recorder.run

    @property
    def name(self) -> str:
        """The logger's name."""
        return self._logger.name

    def isEnabledFor(self, level: int) -> bool:  # noqa: N802  # logging's and structlog's name
        """Return whether a call at `level` makes a record."""
        return self._logger.emitter.threshold <= level

    is_enabled_for = isEnabledFor

    def __repr__(self) -> str:
        return f"<amllog.Logger {self._logger.name} {_REDACTOR.mask_values(text.to_json_value(self._context))!r}>"
