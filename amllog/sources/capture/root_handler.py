"""The handler on the root logger for sessions without an AzureLogHandler.

In: records of stdlib logging. Out: calls of `take` with them.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from amllog.sources.capture import logging_lock


class PlainHandler(logging.Handler):
    """Passes each record to `take`."""

    def __init__(self, take: Callable[[logging.LogRecord], None]) -> None:
        super().__init__()
        logging_lock.unlist_handlers()
        self._take = take

    def createLock(self) -> None:  # noqa: N802  # a method of logging's
        """Have no lock: nothing of ours needs one, and its end would call Python code as a listed handler's does."""
        self.lock = None

    def handle(self, record: logging.LogRecord) -> bool:
        """Without a lock: the intake needs none, and a forked child could inherit it locked."""
        passed = not self.filters or bool(self.filter(record))
        if passed:
            self._take(record)
        return passed

    def emit(self, record: logging.LogRecord) -> None:
        """Hand the record on."""
        self._take(record)

    def close(self) -> None:
        """Nothing to close: dictConfig of other libraries calls this, and records go on."""


def plain_handler(
    before: logging.Handler | None, take: Callable[[logging.LogRecord], None]
) -> logging.Handler:
    """Return `before`, which has the filters of the script, if it is a plain handler. Otherwise return a new one."""
    return before if isinstance(before, PlainHandler) else PlainHandler(take)
