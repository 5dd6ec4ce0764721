"""The logger people hold: structlog's `bind`, `unbind` and `new`, and amllog's methods.

In: calls as scripts write them. Out: the same calls at a gate, which the session sets up; a logger made before
`setup()` needs nothing done to it afterwards.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from types import FrameType
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from amllog.process import safe_import
from amllog.record import text
from amllog.record.redaction import Redactor, describe_value

with safe_import.ordinary_process():
    from structlog import BoundLoggerBase

if TYPE_CHECKING:
    from amllog.sources.run.run import Run

DEBUG, INFO, WARNING, ERROR, CRITICAL = 10, 20, 30, 40, 50
T = TypeVar("T")
_REDACTOR = Redactor()  # for a logger's own repr


class Gate(Protocol):
    """The receiver of the calls of all loggers."""

    threshold: int

    @property
    def run(self) -> Run: ...

    def log(
        self,
        level: int,
        logger: str,
        event: object,
        args: tuple[object, ...],
        values: dict[str, Any],
        context: Mapping[str, object],
        frame: FrameType,
    ) -> None: ...

    def metrics(
        self,
        logger: str,
        values: Mapping[str, object],
        step: int | None,
        dimensions: Mapping[str, object],
        frame: FrameType,
    ) -> None: ...

    def event(self, logger: str, name: str, dimensions: Mapping[str, object], frame: FrameType) -> None: ...

    def span(
        self, logger: str, name: str, dimensions: Mapping[str, object], frame: FrameType
    ) -> AbstractContextManager[None]: ...

    def progress(
        self, logger: str, items: Iterable[T], description: str, total: int | None, frame: FrameType
    ) -> Iterable[T]: ...


class WrappedLogger:
    """A logger's name and the gate it speaks through; what structlog calls the wrapped logger."""

    __slots__ = ("find", "gate", "name")

    def __init__(self, name: str, gate: Gate, find: Callable[[str], WrappedLogger]) -> None:
        """`find` gives the voice of a name: how a pickled logger finds its gate in another process."""
        self.name = name
        self.gate = gate
        self.find = find

    def __reduce__(self) -> tuple[Callable[[str], WrappedLogger], tuple[str]]:
        return self.find, (self.name,)

    def __repr__(self) -> str:
        return f"<Voice {self.name}>"


class Logger(BoundLoggerBase):
    """A logger: messages, metrics, events and spans, with dimensions as keyword arguments.

    `bind`, `unbind`, `try_unbind` and `new` are structlog's. Below the level, a call does nothing.
    """

    _logger: WrappedLogger
    _context: dict[str, Any]

    def debug(self, event: object = "", /, *args: object, **dimensions: Any) -> None:
        """Log at DEBUG; `args` are for `%` formatting, as in logging."""
        voice = self._logger
        if voice.gate.threshold <= DEBUG:
            voice.gate.log(DEBUG, voice.name, event, args, dimensions, self._context, sys._getframe(1))

    def info(self, event: object = "", /, *args: object, **dimensions: Any) -> None:
        """Log at INFO."""
        voice = self._logger
        if voice.gate.threshold <= INFO:
            voice.gate.log(INFO, voice.name, event, args, dimensions, self._context, sys._getframe(1))

    def warning(self, event: object = "", /, *args: object, **dimensions: Any) -> None:
        """Log at WARNING."""
        voice = self._logger
        if voice.gate.threshold <= WARNING:
            voice.gate.log(WARNING, voice.name, event, args, dimensions, self._context, sys._getframe(1))

    def error(self, event: object = "", /, *args: object, **dimensions: Any) -> None:
        """Log at ERROR; with `exc_info=True` as an exception."""
        voice = self._logger
        if voice.gate.threshold <= ERROR:
            voice.gate.log(ERROR, voice.name, event, args, dimensions, self._context, sys._getframe(1))

    def critical(self, event: object = "", /, *args: object, **dimensions: Any) -> None:
        """Log at CRITICAL."""
        voice = self._logger
        if voice.gate.threshold <= CRITICAL:
            voice.gate.log(CRITICAL, voice.name, event, args, dimensions, self._context, sys._getframe(1))

    def exception(self, event: object = "", /, *args: object, **dimensions: Any) -> None:
        """Log at ERROR with the exception that is being handled: a row of the exceptions table."""
        voice = self._logger
        if voice.gate.threshold <= ERROR:
            dimensions.setdefault("exc_info", True)
            voice.gate.log(ERROR, voice.name, event, args, dimensions, self._context, sys._getframe(1))

    def log(self, level: int, event: object = "", /, *args: object, **dimensions: Any) -> None:
        """Log at any level number; TypeError if it is none."""
        voice = self._logger
        if not isinstance(level, int):
            raise TypeError(f"a level is a number such as logging.INFO, got {describe_value(level)}")
        if voice.gate.threshold <= level:
            voice.gate.log(level, voice.name, event, args, dimensions, self._context, sys._getframe(1))

    warn = warning
    fatal = critical
    err = error
    msg = info

    def metric(self, name: str, value: object, *, step: int | None = None, **dimensions: Any) -> None:
        """A number: a run metric (in the portal's chart) and a row of customMetrics.

        Raises MetricError if `value` is no number or `name` no name; NaN and infinities are kept as texts.
        """
        voice = self._logger
        voice.gate.metrics(voice.name, {name: value}, step, {**self._context, **dimensions}, sys._getframe(1))

    def metrics(self, values: Mapping[str, object], *, step: int | None = None, **dimensions: Any) -> None:
        """Several metrics at once; nothing is logged if one of them is no number."""
        voice = self._logger
        voice.gate.metrics(voice.name, values, step, {**self._context, **dimensions}, sys._getframe(1))

    def event(self, name: str, /, **dimensions: Any) -> None:
        """Something that happened: a row of customEvents."""
        voice = self._logger
        voice.gate.event(voice.name, name, {**self._context, **dimensions}, sys._getframe(1))

    def span(self, name: str, /, **dimensions: Any) -> AbstractContextManager[None]:
        """`with log.span("load data"):` a row of dependencies with duration and success; spans nest."""
        voice = self._logger
        return voice.gate.span(voice.name, name, {**self._context, **dimensions}, sys._getframe(1))

    def progress(
        self, items: Iterable[T], description: str = "progress", *, total: int | None = None
    ) -> Iterable[T]:
        """Iterate over `items`, telling how far it is: a bar on a terminal and in a notebook, else a line now
        and then in the driver log."""
        voice = self._logger
        return voice.gate.progress(voice.name, items, description, total, sys._getframe(1))

    @property
    def run(self) -> Run:
        """The run, with azureml's own names and signatures, online and offline."""
        return self._logger.gate.run

    @property
    def name(self) -> str:
        """The logger's name."""
        return self._logger.name

    def isEnabledFor(self, level: int) -> bool:  # noqa: N802  # logging's and structlog's name
        """Whether a call at `level` makes a record."""
        return self._logger.gate.threshold <= level

    is_enabled_for = isEnabledFor

    def __repr__(self) -> str:
        return f"<amllog.Logger {self._logger.name} {_REDACTOR.mask_values(text.to_json_value(self._context))!r}>"


def level_name(level: int) -> str:
    """The name of a level number, as logging has it."""
    return logging.getLevelName(level)
