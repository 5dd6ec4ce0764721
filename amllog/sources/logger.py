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
from amllog.sources.logging_logger import LoggingLogger

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

    __slots__ = ("carried", "emitter", "find", "name", "recorder", "state")

    def __init__(
        self,
        name: str,
        recorder: Recorder,
        find: Callable[..., WrappedLogger],
        carried: Callable[[], tuple[str, ...]] = tuple,
    ) -> None:
        """`find` returns the wrapped logger of a name. A pickled logger finds its recorder with it.

        `carried` returns further arguments of `find` for a pickled logger.
        """
        self.name = name
        self.recorder = recorder
        # Parts of the recorder that each log call needs.
        self.emitter = recorder.emitter
        self.state = recorder.states.of(name)
        self.find, self.carried = find, carried

    def __reduce__(self) -> tuple[Callable[..., WrappedLogger], tuple[str, ...]]:
        return self.find, (self.name, *self.carried())

    def __repr__(self) -> str:
        return f"<WrappedLogger {self.name}>"


class Logger(BoundLoggerBase, LoggingLogger):
    """Log messages, metrics, events and spans, with dimensions as keyword arguments.

    `bind`, `unbind`, `try_unbind` and `new` are structlog's. Below the level, a call does nothing. It can replace a
    `logging.Logger`.
    """

    _logger: WrappedLogger
    _context: dict[str, Any]
    # Not the property over the processors of other loggers of structlog.
    _processors: Any = ()

    def __init__(self, logger: WrappedLogger, processors: Any, context: dict[str, Any]) -> None:
        # Not that of logging.Logger, whose attributes are in the state of the name.
        self._logger, self._processors, self._context = logger, processors, context

    def debug(self, event: object = "", /, *args: object, **dimensions: Any) -> None:
        """Log at DEBUG. `args` are for `%` formatting, as in logging."""
        wrapped = self._logger
        if wrapped.emitter.threshold <= DEBUG:
            wrapped.state.log(DEBUG, wrapped.name, event, args, dimensions, self._context, sys._getframe(1))

    def info(self, event: object = "", /, *args: object, **dimensions: Any) -> None:
        """Log at INFO."""
        wrapped = self._logger
        if wrapped.emitter.threshold <= INFO:
            wrapped.state.log(INFO, wrapped.name, event, args, dimensions, self._context, sys._getframe(1))

    def warning(self, event: object = "", /, *args: object, **dimensions: Any) -> None:
        """Log at WARNING."""
        wrapped = self._logger
        if wrapped.emitter.threshold <= WARNING:
            wrapped.state.log(WARNING, wrapped.name, event, args, dimensions, self._context, sys._getframe(1))

    def error(self, event: object = "", /, *args: object, **dimensions: Any) -> None:
        """Log at ERROR. With `exc_info=True`, log the exception that is being handled."""
        wrapped = self._logger
        if wrapped.emitter.threshold <= ERROR:
            wrapped.state.log(ERROR, wrapped.name, event, args, dimensions, self._context, sys._getframe(1))

    def critical(self, event: object = "", /, *args: object, **dimensions: Any) -> None:
        """Log at CRITICAL."""
        wrapped = self._logger
        if wrapped.emitter.threshold <= CRITICAL:
            wrapped.state.log(
                CRITICAL, wrapped.name, event, args, dimensions, self._context, sys._getframe(1)
            )

    def exception(self, event: object = "", /, *args: object, **dimensions: Any) -> None:
        """Log at ERROR with the exception that is being handled, as a row of the exceptions table."""
        wrapped = self._logger
        if wrapped.emitter.threshold <= ERROR:
            dimensions.setdefault("exc_info", True)
            wrapped.state.log(ERROR, wrapped.name, event, args, dimensions, self._context, sys._getframe(1))

    def log(  # type: ignore[override]  # with free keywords
        self, level: int, event: object = "", /, *args: object, **dimensions: Any
    ) -> None:
        """Log at any level number. Raises TypeError if `level` is not a number."""
        wrapped = self._logger
        if not isinstance(level, int):
            raise TypeError(f"a level is a number such as logging.INFO, got {describe_value(level)}")
        if wrapped.emitter.threshold <= level:
            wrapped.state.log_passed_on(
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
            wrapped.state.log(INFO, wrapped.name, message, (), {}, {}, frame)

        return progress.track(items, description, total, log_line)

    @property
    def run(self) -> Run:
        """The run, with azureml's names and signatures, online and offline."""
        return self._logger.recorder.run

    @property
    def name(self) -> str:  # type: ignore[override]  # nothing assigns it
        """The logger's name."""
        return self._logger.name

    @property
    def parent(self) -> Logger | None:  # type: ignore[override]  # the same
        """The logger of the name above, with the same bound dimensions. None for the root logger."""
        wrapped = self._logger
        above = wrapped.name.rpartition(".")[0] or "root"
        return None if wrapped.name == "root" else Logger(wrapped.find(above), (), dict(self._context))

    def getChild(self, suffix: str) -> Logger:  # noqa: N802  # logging's name
        """Return the logger of a name below this one, with the same bound dimensions."""
        wrapped = self._logger
        name = suffix if wrapped.name == "root" else f"{wrapped.name}.{suffix}"
        return Logger(wrapped.find(name), (), dict(self._context))

    def is_enabled_for(self, level: int) -> bool:
        """Return whether a call at `level` makes a record."""
        return self.isEnabledFor(level)

    def __eq__(self, other: object) -> bool:
        if type(other) is not Logger:
            return NotImplemented
        return self._logger.name == other._logger.name and self._context == other._context

    def __hash__(self) -> int:
        return hash(self._logger.name)

    def __reduce__(self) -> tuple[type[Logger], tuple[WrappedLogger, Any, dict[str, Any]]]:
        return Logger, (self._logger, self._processors, self._context)

    def __repr__(self) -> str:
        return f"<amllog.Logger {self._logger.name} {_REDACTOR.mask_values(text.to_json_value(self._context))!r}>"
