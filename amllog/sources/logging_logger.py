"""The part of our `Logger` that code uses which expects a `logging.Logger`.

It is a subclass, so that `isinstance`, type checkers and methods that libraries add to `logging.Logger` work. Level,
handlers and filters are in `logger_states`. A record needs no handler: it is in the journal in any case.
"""

from __future__ import annotations

import logging
import sys
from logging import Logger as StdlibLogger
from typing import Any, ClassVar


def _shared(name: str) -> Any:
    """Return the property for an attribute of `logging.Logger` that the loggers of one name share.

    Code may change a list that it reads. So the state counts as used from then on.
    """

    def read(logger: LoggingLogger) -> Any:
        state = logger._logger.state
        if name in ("handlers", "filters"):
            state.change(bool)
        return getattr(state.plain, name)

    def write(logger: LoggingLogger, value: object) -> None:
        logger._logger.state.change(lambda plain: setattr(plain, name, value))

    return property(read, write)


class LoggingLogger(StdlibLogger):
    """The methods and attributes of `logging.Logger`, on the state of our logger's name."""

    # The WrappedLogger.
    _logger: Any
    _context: dict[str, Any]
    # `Manager` clears it in each logger of its dictionary, where a script may have put ours.
    _cache: ClassVar[dict[int, bool]] = {}

    handlers = _shared("handlers")
    filters = _shared("filters")
    level = _shared("level")
    propagate = _shared("propagate")
    disabled = _shared("disabled")

    def isEnabledFor(self, level: int) -> bool:  # noqa: N802  # logging's and structlog's name
        """Return whether a call at `level` makes a record."""
        return self.getEffectiveLevel() <= level and not self._logger.state.plain.disabled

    def getEffectiveLevel(self) -> int:  # noqa: N802  # logging's name
        """Return the level from which calls make records: that of `setup()`, or a higher one that was set."""
        level: int = max(self._logger.emitter.threshold, self._logger.state.effective_level())
        return level

    def setLevel(self, level: int | str) -> None:  # noqa: N802  # logging's name
        """Set a level for this name and those below. The levels of `setup()` apply as well."""
        self._logger.state.change(lambda plain: plain.setLevel(level))

    def addHandler(self, hdlr: logging.Handler) -> None:  # noqa: N802  # logging's name
        """Add a handler that gets the records of this name and those below, in addition to the outlets."""
        self._logger.state.change(lambda plain: plain.addHandler(hdlr))

    def removeHandler(self, hdlr: logging.Handler) -> None:  # noqa: N802  # logging's name
        """Remove a handler."""
        self._logger.state.change(lambda plain: plain.removeHandler(hdlr))

    def hasHandlers(self) -> bool:  # noqa: N802  # logging's name
        """Return True: records are written without a handler."""
        return True

    def addFilter(self, filter: Any) -> None:  # noqa: N802  # logging's names
        """Add a filter for the records of this name."""
        self._logger.state.change(lambda plain: plain.addFilter(filter))

    def removeFilter(self, filter: Any) -> None:  # noqa: N802  # logging's names
        """Remove a filter."""
        self._logger.state.change(lambda plain: plain.removeFilter(filter))

    def filter(self, record: logging.LogRecord) -> Any:
        """Return whether the filters of this name accept a record, or the record that they return."""
        return self._logger.state.plain.filter(record)

    def handle(self, record: logging.LogRecord) -> None:
        """Record a record that was made elsewhere."""
        if self._logger.emitter.threshold <= record.levelno:
            self._logger.state.handle(record)

    callHandlers = handle  # noqa: N815  # logging's name

    def _log(
        self,
        level: int,
        msg: object,
        args: Any,
        exc_info: Any = None,
        extra: Any = None,
        stack_info: bool = False,
        stacklevel: int = 1,
        **dimensions: Any,
    ) -> None:
        """Record a call of code that uses logging's private method, as adapters and added levels do."""
        wrapped = self._logger
        if wrapped.emitter.threshold <= level:
            options = {
                "exc_info": exc_info,
                "extra": extra,
                "stack_info": stack_info,
                "stacklevel": stacklevel,
            }
            values = {**dimensions, **{key: value for key, value in options.items() if value}}
            wrapped.state.log_passed_on(
                level, wrapped.name, msg, args, values, self._context, sys._getframe(1)
            )
