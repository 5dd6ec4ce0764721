"""The handler on the root logger where none of OpenCensus is: it hands records on.

In: records of stdlib logging. Out: the same, to `take`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from amllog import logging_lock


class PlainHandler(logging.Handler):
    """The handler on the root logger where nothing is sent to Application Insights by OpenCensus."""

    def __init__(self, take: Callable[[logging.LogRecord], None]) -> None:
        super().__init__()
        logging_lock.unlist_ours()
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
    """A plain handler; that of an earlier setup(), if it was one, with the filters of the script."""
    return before if isinstance(before, PlainHandler) else PlainHandler(take)
