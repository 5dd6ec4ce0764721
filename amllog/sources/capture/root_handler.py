"""The handler on the root logger for sessions without an AzureLogHandler."""

from __future__ import annotations

import logging

from amllog.sources.capture import logging_lock
from amllog.sources.capture.record_taker import RecordTaker


class PlainHandler(logging.Handler):
    """Pass each record to `taker.take`."""

    def __init__(self, taker: RecordTaker) -> None:
        super().__init__()
        logging_lock.unlist_handlers()
        self._taker, self._take = taker, taker.take

    def createLock(self) -> None:  # noqa: N802  # a method of logging's
        """Create no lock. amllog needs none, and the end of a lock would call Python code, as for listed handlers."""
        self.lock = None

    def handle(self, record: logging.LogRecord) -> bool:
        """Filter and take the record without a lock. A forked child could inherit a lock in the acquired state."""
        passed = not self.filters or self._taker.passes(self, record)
        if passed:
            self._take(record)
        return passed

    def emit(self, record: logging.LogRecord) -> None:
        """Take the record."""
        self._take(record)

    def close(self) -> None:
        """Do nothing. dictConfig of other libraries calls this, and later records must still be taken."""


def plain_handler(before: logging.Handler | None, taker: RecordTaker) -> logging.Handler:
    """Return `before` with the filters of the script if it is a plain handler, otherwise a new one."""
    return before if isinstance(before, PlainHandler) else PlainHandler(taker)
