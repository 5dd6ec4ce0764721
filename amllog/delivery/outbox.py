"""The journal and the worker of this process, opened, drained and closed together.

Lines are appended to the journal in the caller's thread, and delivered by the worker. A forked child opens its own
journal and worker with its first record, and leaves those of its parent to the parent.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter, deque
from collections.abc import Sequence
from pathlib import Path

from amllog.delivery import account
from amllog.delivery.account import Account
from amllog.delivery.exporter import Exporter
from amllog.delivery.worker import DeliveryWorker, Notice
from amllog.journal.directory import fallback_directory
from amllog.journal.new_segment import NoSegment
from amllog.journal.refused_counts import RefusedCounts
from amllog.journal.writer import Journal
from amllog.process.released_locks import releasing
from amllog.process.workers import is_worker

REOPEN_SECONDS = 0.2  # until the next attempt to open a journal that could not be opened
MAX_PENDING = 1_000  # lines that wait in memory for such an attempt
NO_JOURNAL = "the journal cannot be written"


class Outbox:
    """Append lines to the journal, and have them delivered."""

    def __init__(self, notice: Notice, refused: RefusedCounts | None = None) -> None:
        """`refused` counts the lines that no journal accepted, over the life of the process."""
        self.directory = self._wanted = Path()
        self.exporters: Sequence[Exporter] = ()
        self.refused = refused or RefusedCounts()
        self._notice = notice
        self._journal: Journal | None = None
        self._worker: DeliveryWorker | None = None
        self._node, self._key, self._max_bytes = "", "", 0
        self._is_child = False  # whether the process was forked, or has joined the step of another one
        self._forked_in_c, self._closed = False, True
        self._final: Account | None = None
        self._pending: deque[bytes] = deque()  # lines that wait for a journal that cannot be opened now
        self._reopen_at = 0.0
        # Held while a line is written and while a journal is opened or closed: the lines of a closed journal are
        # counted once no thread writes to it any more. Re-entrant, because a signal handler may log.
        self._lock = threading.RLock()

    def current_journal(self) -> Journal | None:
        """Return the journal while it is open."""
        return self._journal

    def drain_previous(self, directory: Path, grace_seconds: float) -> None:
        """Deliver the waiting records for at most `grace_seconds`, if another directory is to be opened."""
        if self._journal is not None and self._wanted != directory:
            self.drain(grace_seconds, with_orphans=True)

    @releasing("_lock")
    def open(self, directory: Path, node: str, max_bytes: int, *, lazily: bool = False) -> None:
        """Open a journal in `directory`, or in the fallback directory with a notice. An open one there stays open.

        `lazily`: open it with the first record, as a forked child does, because the process works for another one.
        """
        with self._lock:
            if self._wanted != directory:
                self._release()
            self._wanted, self._node, self._max_bytes = directory, node, max_bytes
            self._closed, self.directory = False, directory
            self._is_child |= lazily
            if not lazily or self._journal is not None:
                self._open()

    def set_key(self, key: str) -> None:
        """Set the instrumentation key of the next lines. A segment has one key, because its lines wait for that key."""
        if self._key and key != self._key and self._journal is not None:
            self._journal.rotate(self._key)
        self._key = key

    def set_exporters(self, exporters: Sequence[Exporter]) -> None:
        """Deliver through `exporters` from now on."""
        self.exporters = exporters
        if self._worker is not None:
            self._worker.set_exporters(exporters)
            if exporters:
                self._worker.start()

    @releasing("_lock")
    def append(self, line: bytes) -> bool:
        """Write a line, or count the reason why no file accepted it. Return False if the session has ended."""
        with self._lock:
            journal, worker = self._journal, self._worker
            if journal is None or worker is None or self._pending:
                return self._append_later(line)
            try:
                if not journal.append(line):
                    self._report_unwritten(journal)
            except NoSegment:
                self._pending.append(line)
                self._reopen_at = time.monotonic() + REOPEN_SECONDS
        if self.exporters and worker.thread.due:
            worker.start()
        return True

    @releasing("_lock")
    def drain(self, seconds: float, *, with_orphans: bool = False, last: bool = False) -> None:
        """Deliver the waiting records, for at most `seconds`. `last`: the process ends after it."""
        if self._pending:
            with self._lock:
                self._open()
        worker = self._worker  # read once: another thread may close the outbox
        if worker is not None and self.exporters:
            worker.drain(seconds, with_orphans=with_orphans, last=last)
            worker.journal.recheck_space()
        elif worker is not None:
            worker.displacement.check()

    def status(self) -> Account:
        """Return the account of this process's records."""
        journal, worker = self._journal, self._worker
        refused = self.refused.counts() + Counter({NO_JOURNAL: len(self._pending)})
        wants = {exporter.name: exporter.counts for exporter in self.exporters}
        consumers = worker.consumers if worker is not None else []
        return account.tally(
            journal.segments if journal else (),
            wants,
            refused + journal.unwritten if journal else refused,
            str(journal.directory) if journal else "",
            errors={consumer.exporter.name: consumer.last_error for consumer in consumers},
            orphans=worker.orphans.delivered if worker is not None else 0,
        )

    def close(self, seconds: float) -> Account:
        """Deliver the waiting records within `seconds`, and end."""
        deadline = time.monotonic() + seconds
        self.drain(seconds, with_orphans=True)
        return self.end(deadline - time.monotonic())

    @releasing("_lock")
    def end(self, seconds: float) -> Account:
        """Close everything, waiting at most `seconds` for an export in progress. Return the final account.

        Waiting records are left to the next process. Later lines are not accepted. Safe to repeat.
        """
        with self._lock:  # no other thread writes now, and none will
            self._closed = True
        worker = self._worker
        if worker is not None:
            worker.stop(seconds)
            if not worker.displacement.is_checking:  # else a file system holds up the thread
                worker.displacement.check(last=True)
        with self._lock:
            if self._final is None:
                counts = self.refused.counts()
                self._final = self.status()
                self.refused.reported(counts)
            self._pending.clear()
            self._release()
            return self._final

    def before_fork(self) -> None:
        """End the thread while the process is copied, unless that takes too long."""
        if self._worker is not None:
            self._worker.park()

    def after_fork(self) -> None:
        """In the parent: continue."""
        if self._worker is not None:
            self._worker.resume()

    def forked(self, *, in_c: bool = False) -> None:
        """In a forked child: leave the parent's files and thread to the parent.

        `in_c`: C code has forked the process. CPython cannot start a thread there, so its records wait for others.
        """
        self._forked_in_c = in_c
        self._lock = threading.RLock()
        self.refused.forked()
        self._pending.clear()
        worker, journal, self._journal, self._worker = self._worker, self._journal, None, None
        if worker is not None:
            worker.forked()
        if journal is not None:
            journal.close()
        self._is_child = True
        self._reopen_at = 0.0

    def _append_later(self, line: bytes) -> bool:
        """Open the journal of a forked child, or one that could not be opened before. Until then lines wait here."""
        if self._closed and self._journal is None:
            return False
        if time.monotonic() >= self._reopen_at:
            self._open()
        if not self._pending and self._journal is not None and self._write(self._journal, line):
            return True
        if len(self._pending) < MAX_PENDING:
            self._pending.append(line)
        else:
            self.refused.add(NO_JOURNAL)
        return True

    def _write(self, journal: Journal, line: bytes) -> bool:
        """Write a line, or count the reason why not. Return False if the journal has no file for it now."""
        try:
            if not journal.append(line):
                self._report_unwritten(journal)
        except NoSegment:
            return False
        return True

    def _report_unwritten(self, journal: Journal) -> None:
        if reasons := journal.unwritten:
            self._notice(f"records are refused: {' and '.join(reasons)}", logging.WARNING)

    def _open(self) -> None:
        """Try to open a journal, write the waiting lines to it, and have it delivered."""
        if self._closed:
            return
        self._reopen_at = time.monotonic() + REOPEN_SECONDS
        is_new = self._journal is None
        journal = self._journal or self._new_journal()
        if journal is None:
            return
        if is_new:
            in_worker = self._is_child or is_worker()
            self._worker = DeliveryWorker(journal, self._node, self._notice, self._lock, is_worker=in_worker)
            self._journal = journal
            if self._forked_in_c:
                self._worker.stop(0.0)
                message = "this process was forked by C code: its records wait in the journal"
                self._notice(message, logging.WARNING)
        while self._pending and self._write(journal, self._pending[0]):
            self._pending.popleft()
        self.directory = journal.directory
        if is_new:
            self.set_exporters(self.exporters)

    def _release(self) -> None:
        """Stop the worker and close the files."""
        if self._worker is not None:
            self._worker.release()
        elif self._journal is not None:
            self._journal.close()
        self._journal = self._worker = None

    def _new_journal(self) -> Journal | None:
        try:
            return Journal(
                self._wanted,
                max_bytes=self._max_bytes,
                node=self._node,
                outlets=[exporter.name for exporter in self.exporters],
                fallback=[fallback_directory],
                notice=lambda text: self._notice(text, logging.WARNING),
            )
        except NoSegment:
            return None
