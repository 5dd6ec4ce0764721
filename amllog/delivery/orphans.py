"""Files of processes that have ended, delivered a batch at a time: this process's own records come in between.

In: the directory, and what offers a batch. Out: acknowledgements in those files.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence

from amllog.delivery.account import UNREADABLE
from amllog.delivery.exporter import Consumer, write_pending_entries
from amllog.journal.directory import claim_orphans, is_passing
from amllog.journal.segment import Segment
from amllog.journal.writer import Journal


class Orphans:
    """One pass after the other through the files that others have left in the journal's directory."""

    def __init__(
        self,
        journal: Journal,
        node: str,
        offer: Callable[[Consumer, Segment], bool],
        report: Callable[[str], object],
        notice: Callable[[str], object],
    ) -> None:
        """`offer` offers a batch of a file. It returns whether there may be more. `report` gets why a file waits."""
        self.delivered = 0
        self.in_progress = False  # whether a pass has begun and is not complete
        self._journal, self._node = journal, node
        self._offer, self._report, self._notice = offer, report, notice
        self._found: Iterator[Segment] = iter(())
        self._claimed: Segment | None = None
        self._settled: set[str] = set()  # files in which nothing waits

    def reconsider(self) -> None:
        """Look into all files again with the next pass: there are other outlets."""
        self._settled = set()

    def step(self, consumers: Sequence[Consumer]) -> bool:
        """Offer the next batch to each outlet. Return False at the end of a pass."""
        if not self.in_progress:
            journal = self._journal
            about = self._settled, self._notice, journal.is_own
            self._found = claim_orphans(journal.directory, self._node, journal.outlets, *about)
        self.in_progress = False  # if this raises
        segment = self._claimed = self._claimed or next(self._found, None)
        if segment is None:
            return False
        self.in_progress = self._deliver(segment, consumers) or any(
            consumer.due <= time.monotonic() for consumer in consumers
        )
        return self.in_progress

    def leave(self) -> None:
        """Close the file that is being delivered, and end the pass."""
        self.in_progress = False
        self._close()

    def _deliver(self, segment: Segment, consumers: Sequence[Consumer]) -> bool:
        """Offer a batch of one file to each outlet. Return False once there is no more and the file is closed."""
        before, more = self._count(segment, consumers), False
        try:
            for consumer in consumers:
                more |= self._offer(consumer, segment)
        except Exception as error:  # this file is skipped, the others are not
            if not is_passing(error):
                self._settled.add(segment.path.name)
            self._report(f"{UNREADABLE}: {type(error).__name__} in {segment.path.name}")
            more = False
        self.delivered += self._count(segment, consumers) - before
        if not more:
            self._close()
        return more

    def _close(self) -> None:
        segment, self._claimed = self._claimed, None
        if segment is not None:
            if segment.unrecorded:  # no other process will know: at least this one does not send it again
                self._settled.add(segment.path.name)
            write_pending_entries([segment], lambda text, _: self._notice(text))
            segment.close()

    @staticmethod
    def _count(segment: Segment, consumers: Sequence[Consumer]) -> int:
        return sum(segment.position(consumer.exporter.name).delivered for consumer in consumers)
