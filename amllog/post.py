"""The journal and the courier of this process, opened, drained and closed together.

In: lines to keep, outlets to serve. Out: kept lines, delivered lines, the account. A forked child opens its own with
its first record, and its parent's are left to the parent.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from amllog import account
from amllog.account import Account
from amllog.courier import Courier
from amllog.delivery import Outlet
from amllog.directory import spare_directory
from amllog.journal import Journal
from amllog.whereabouts import is_worker

Notice = Callable[[str, int], None]


class Post:
    """Keeps lines and has them delivered."""

    def __init__(self, notice: Notice) -> None:
        self.directory = Path()
        self.outlets: Sequence[Outlet] = ()
        self.refused: Counter[str] = Counter()  # records that no journal took
        self._notice = notice
        self._journal: Journal | None = None
        self._courier: Courier | None = None
        self._wanted = Path()
        self._node = ""
        self._max_bytes = 0
        self._key = ""
        self._forked = self._worker = False
        self._lock = threading.RLock()

    def open(self, directory: Path, node: str, max_bytes: int, grace_seconds: float) -> None:
        """Open a journal in `directory`, or in a temporary one with a notice; one that is open there goes on."""
        if self._journal is not None:
            if self._wanted == directory:
                return
            self.close(grace_seconds)
        self._wanted, self._node, self._max_bytes = directory, node, max_bytes
        self._journal = self._try(lambda: directory) or self._try(spare_directory)
        if self._journal is not None:
            self.directory = self._journal.directory
            self._courier = Courier(self._journal, node, self._notice, worker=self._worker or is_worker())

    def address(self, key: str) -> None:
        """Say to which instrumentation key the next lines go: a file has one, and its lines wait for it."""
        if self._key and key != self._key and self._journal is not None:
            self._journal.turn(self._key)
        self._key = key

    def serve(self, outlets: Sequence[Outlet]) -> None:
        """Deliver to `outlets` from now on."""
        self.outlets = outlets
        if self._courier is not None:
            self._courier.serve(outlets)
            if outlets:
                self._courier.start()

    def append(self, line: bytes) -> bool:
        """Keep a line; False if no file took it, which is counted."""
        journal, courier = self._journal, self._courier
        if journal is None or courier is None:
            return self._append_first(line)
        kept = journal.append(line)
        if not kept and journal.unwritten:
            self._notice(f"records are refused: {' and '.join(journal.unwritten.copy())}", logging.WARNING)
        if not courier.started and self.outlets:
            courier.start()
        return kept

    def drain(self, seconds: float, *, with_leftovers: bool = False) -> None:
        """Deliver what waits, for at most `seconds`."""
        courier = self._courier  # once: another thread may be closing
        if courier is not None and self.outlets:
            courier.drain(seconds, with_leftovers=with_leftovers)
            courier.journal.expect_room()

    def status(self) -> Account:
        """The account of this process's records."""
        journal, courier = self._journal, self._courier
        found = account.tally(
            journal.segments if journal else (),
            {outlet.name: outlet.wants for outlet in self.outlets},
            self.refused + journal.unwritten if journal else self.refused,
            str(self.directory) if journal else "",
        )
        if courier is not None:
            for route in courier.routes:
                if route.outlet.name in found.outlets:  # else setup() has come meanwhile, in another thread
                    found.outlets[route.outlet.name].trouble = route.trouble
            found.leftovers_delivered = courier.leftovers_delivered
        return found

    def close(self, seconds: float) -> Account:
        """Deliver what can be within `seconds`, and let go of everything; what waits is there for the next."""
        deadline = time.monotonic() + seconds
        self.drain(seconds, with_leftovers=True)
        found = self.status()
        if self._courier is not None:
            self._courier.stop(max(0.0, deadline - time.monotonic()))
        if self._journal is not None:
            self._journal.close()
        self._journal = self._courier = None
        return found

    def before_fork(self) -> None:
        """Nothing of ours is under way while the process is copied, unless it takes too long to wait for."""
        if self._courier is not None:
            self._courier.park()

    def after_fork(self) -> None:
        """In the parent: go on."""
        if self._courier is not None:
            self._courier.resume()

    def forked(self) -> None:
        """In a forked child: the parent's files and thread are not ours."""
        self._lock = threading.RLock()
        if self._courier is not None:
            self._courier.forked()
        if self._journal is not None:
            self._journal.close()
        self._journal = self._courier = None
        self._forked = self._worker = True

    def _append_first(self, line: bytes) -> bool:
        with self._lock:
            if self._forked:
                self._forked = False
                self.open(self._wanted, self._node, self._max_bytes, 0.0)
                self.serve(self.outlets)
        if self._journal is None:
            self.refused["the journal cannot be written"] += 1
            return False
        return self._journal.append(line)

    def _try(self, find: Callable[[], Path]) -> Journal | None:
        try:
            directory = find()
            names = [outlet.name for outlet in self.outlets]
            return Journal(
                directory, max_bytes=self._max_bytes, node=self._node, outlets=names,
                notice=lambda text: self._notice(text, logging.WARNING),
            )  # fmt: skip
        except OSError as error:
            where = error.filename or "a temporary directory"
            self._notice(f"no journal in {where}: {error.strerror or error}", logging.WARNING)
            return None
