"""The single write path of all records: encode a draft, append the line to the outbox, write the driver log.

Until `setup()`, the first records wait here, and the driver log is written at once. A record is never lost between two
states: threads log while another one calls `setup()` or `shutdown()`, and a signal handler may interrupt both.
"""

from __future__ import annotations

import itertools
import logging
import math
import secrets
import sys
from collections import deque
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from amllog.context import current
from amllog.delivery.account import Account, OutletAccount
from amllog.exporters.driver_log import DriverLog, Line
from amllog.journal.refused_counts import RefusedCounts
from amllog.process import fork_detection
from amllog.process.interrupts import pass_on, suppress
from amllog.process.own_work import SENDING, THREAD, WRITING, causes
from amllog.record import dimensions
from amllog.record.redaction import Redactor
from amllog.sources.encoder import Draft, Encoder
from amllog.sources.resource import Resource

# Records that are kept for setup().
MAX_EARLY = 1_000
# Why a record is not recorded.
ECHO = "stdout logs the lines of the driver log"
LOOP = "a handler logs about its own records"
_REASONS = {WRITING: ECHO, SENDING: "a library logs or prints while amllog delivers"}
_TOO_EARLY = f"more than {MAX_EARLY:,} records before setup()"


class Appender(Protocol):
    """The object that encoded records are written to."""

    def append(self, line: bytes) -> bool:
        """Write a line. Return False if the session has ended."""


class Emitter:
    """Write drafts to the journal and lines to the driver log."""

    def __init__(
        self,
        refused: RefusedCounts | None = None,
        in_child: Callable[[], None] | None = None,
        recheck: Callable[[], float] | None = None,
        join: Callable[[], object] = int,
        notice: Callable[[str, int], object] | None = None,
    ) -> None:
        """`in_child` is called before the first record of a child process that was forked without Python's hooks.

        `recheck` is called with a record, and returns after how many seconds to call it again. `join` is called after
        each record that is kept for setup(). It may call setup(). `notice` prints a message once, with a level.
        """
        self._notice = notice or (lambda message, level: None)
        self.refused = refused or RefusedCounts()
        # Records that are not recorded, because amllog or a handler has caused them, by reason.
        self.feedback = RefusedCounts()
        self._unreported: list[str] = []
        self._reported: set[str] = set()
        self.strict = False
        self._in_child, self._join = in_child or self.forked, join
        self._recheck, self._recheck_at = recheck, 0.0 if recheck is not None else math.inf
        # One for the life of the process: threads may add to it during a reset().
        self._early: deque[Draft] = deque()
        self.reset()

    def reset(self, redactor: Redactor | None = None) -> None:
        """Return to the state before setup(). `redactor` masks records until then."""
        self.threshold = logging.INFO
        self.driver_log = DriverLog("auto", logging.INFO, {})
        self.redactor = redactor or Redactor()
        self.resource: Resource | None = None
        # Whether metrics of this process are addressed to run history. None: not known before setup().
        self.is_online: bool | None = None
        self._append: Callable[[bytes], bool] | None = None
        self._encoder: Encoder | None = None
        self.renew()

    def forked(self) -> None:
        """In a forked child: drop the records that wait for setup(). The parent has them too. Safe to repeat."""
        self.renew()
        self._early.clear()
        self.driver_log.forked()

    def renew(self) -> None:
        """Begin a new series of record ids, as every process needs, also a forked one."""
        self._process = fork_detection.create_page()
        # One assignment: no id has the prefix of one series and a number of the other.
        self._ids = secrets.token_hex(4), itertools.count()

    def open(self, resource: Resource, outbox: Appender, driver_log: DriverLog, redactor: Redactor) -> None:
        """Begin to write records, first those that were made before."""
        driver_log.continue_counts(self.driver_log)
        self.resource, self.is_online = resource, resource.run.online
        self._append, self.driver_log, self.redactor = outbox.append, driver_log, redactor
        self._encoder = Encoder(resource, redactor)
        self.threshold = min(driver_log.level, resource.insights_level)
        self._emit_early()

    def close(self) -> None:
        """Stop writing. Records wait for the next setup()."""
        self._append = self._encoder = None

    def join(self) -> bool:
        """Join the step that this process works for. Return whether metrics are addressed to run history."""
        self._join()
        return bool(self.is_online)

    @property
    def is_open(self) -> bool:
        """Return whether records are written: after setup(), and before shutdown() closes the journal."""
        return self._encoder is not None

    @property
    def directory(self) -> Path:
        """The journal directory."""
        resource = self.resource
        return resource.directory if resource is not None else Path()

    def forget_early(self) -> None:
        """Drop the records that wait for setup()."""
        self._early.clear()

    def use_processors(self, processors: Callable[[dict[str, Any]], bool]) -> None:
        """Pass every envelope through the script's telemetry processors from now on."""
        if self._encoder is not None:
            self._encoder.use_processors(processors)

    def emit(self, draft: Draft, line: Line | None = None, shown: bool = False) -> None:
        """Write a record to the journal, and `line` to the driver log. `shown`: the driver log has it already."""
        if THREAD.doing and causes():
            return self.drop_caused()
        if not self._process[0]:  # forked in C, where Python calls no hook
            self._in_child()
        if draft.seconds >= self._recheck_at and self._recheck is not None:
            self._recheck_at = draft.seconds + self._recheck()
        encoder, append = self._encoder, self._append
        if encoder is None or append is None:
            self._keep_for_setup(draft, None)
            self._join()
            # The level of the driver log is that of the step.
            line = line if line is not None and line.level >= self.driver_log.level else None
        else:
            operation, parent = draft.parent or self.parent()
            identity = encoder.resource.identity
            if not parent and draft.kind != "RequestData":  # which is the step itself
                parent = identity.span_id
            series, numbers = self._ids
            span = operation or identity.operation_id, parent
            if append(encoder.encode(draft, f"{series}-{next(numbers):x}", span)) is False:
                self._keep_for_setup(draft, encoder)  # another thread has called shutdown() meanwhile
        if line is not None:
            self.driver_log.write(line)
        elif shown:
            self.driver_log.count_delivered()
        if self._unreported:
            self.report_feedback()

    def drop_caused(self) -> None:
        """Count a record that the present work of amllog has caused."""
        self.drop(_REASONS[THREAD.doing])

    def drop(self, reason: str) -> None:
        """Count a record that is not recorded, because amllog or a handler has caused it."""
        self.feedback.add(reason)
        if reason not in self._reported:
            self._reported.add(reason)
            self._unreported.append(reason)

    def complete(self, account: Account) -> tuple[Account, OutletAccount]:
        """Return the account with the records that were not recorded, and that of the driver log."""
        self.report_feedback()
        return account.with_feedback(self.feedback.counts()), self.driver_log.account()

    def report_feedback(self) -> None:
        """Print a notice about each new reason of `drop`, unless this thread writes or sends at the moment."""
        while self._unreported and not THREAD.doing:
            with suppress(IndexError):  # another thread has reported it
                reason = self._unreported.pop()
                self._notice(f"{reason}: such records are counted, and not recorded", logging.WARNING)

    def finish_line(self, line: Line | None, shown: bool) -> None:
        """Write the line of a record that is in the journal already. `shown`: a handler has shown it meanwhile."""
        if shown:
            self.driver_log.count_delivered()
        elif line is not None:
            self.driver_log.write(line)

    def parent(self) -> tuple[str, str]:
        """Return (operation id, span id) that a record made here belongs under."""
        modules = sys.modules
        if current.OPENTELEMETRY in modules or current.OPENCENSUS in modules:
            span = current.foreign_span()
            if span is not None:
                return span
        encoder = self._encoder  # once: another thread may be closing
        if encoder is None:
            return current.operation_id(), current.span_id()
        identity = encoder.resource.identity
        return current.operation_id() or identity.operation_id, current.span_id() or identity.span_id

    def guarded(self, work: Callable[[], object]) -> None:
        """Call `work`, a Python function of amllog, and count its fault instead of raising it.

        A foreign exception without a Python frame below this one is taken for a signal's (`process/signal_origin`).
        """
        try:
            work()
        except Exception as fault:  # counted, and reported by status()
            self.handle_fault(fault)

    def handle_fault(self, fault: Exception) -> None:
        """Count a fault of amllog. Raise the exception of a signal handler, and in strict mode every fault."""
        pass_on(fault)
        if self.strict:
            raise fault
        self.refused.add(f"amllog: {type(fault).__name__}")

    def set_strict(self, strict: bool) -> None:
        """Set whether faults of amllog are raised instead of counted, as tests need."""
        self.strict = strict

    def _emit_early(self) -> None:
        while self._early and self._encoder is not None and self._append is not None:
            taken: list[Draft] = []
            try:
                with suppress(IndexError):  # another thread had the last one
                    taken.extend(map(deque.popleft, (self._early,)))  # in C, where no signal handler runs
                for draft in taken:
                    # setup() knows of more secrets than there were then.
                    masked = dimensions.remask_dimensions(draft.dimensions, self.redactor)
                    data = self.redactor.mask_values(draft.data)
                    self.guarded(partial(self.emit, draft._replace(dimensions=masked, data=data)))
                taken.clear()
            finally:
                self._early.extendleft(taken)  # those that a signal handler has interrupted

    def _keep_for_setup(self, draft: Draft, encoder: Encoder | None) -> None:
        """Keep a record for the next setup(). If there are too many, drop and count the oldest."""
        self._early.append(draft._replace(parent=draft.parent or self.parent()))
        if len(self._early) > MAX_EARLY:
            try:
                self._early.popleft()
                self.refused.add(_TOO_EARLY)
            except IndexError:  # another thread had the last one
                return
        if self._encoder is not encoder:  # another thread has called setup() meanwhile
            self._emit_early()
