"""Deliver the segments of ended processes in the background, one batch at a time.

Between two batches, the worker exports records of this process, so that a long orphan does not delay them.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence

from amllog.delivery.account import UNREADABLE
from amllog.delivery.consumer import Consumer, write_pending_entries
from amllog.journal.directory import claim_orphans, is_temporary
from amllog.journal.segment import Segment
from amllog.journal.writer import Journal


class Orphans:
    """Repeated passes through the orphans in the journal's directory."""

    def __init__(
        self,
        journal: Journal,
        node: str,
        export: Callable[[Consumer, Segment], bool],
        report: Callable[[str], object],
        notice: Callable[[str, int], object],
    ) -> None:
        """`export` exports a batch of a segment, and returns whether there may be more.

        `report` gets why an orphan waits, and `notice` what the user should know about the files.
        """
        self.delivered = 0
        self.in_progress = False  # whether a pass has begun and is not complete
        self._journal, self._node = journal, node
        self._export, self._report, self._notice = export, report, notice
        self._orphans: Iterator[Segment] = iter(())
        self._current: Segment | None = None
        self._settled: set[str] = set()  # names of segments in which nothing waits

    def reconsider(self) -> None:
        """Read all files again in the next pass, because there are other exporters."""
        self._settled = set()

    def export_next(self, consumers: Sequence[Consumer]) -> bool:
        """Export the next batch for each consumer. Return False at the end of a pass."""
        if not self.in_progress:
            journal = self._journal
            options = self._settled, lambda text: self._notice(text, logging.WARNING), journal.is_own
            self._orphans = claim_orphans(journal.directory, self._node, journal.outlets, *options)
        self.in_progress = False  # if this raises
        segment = self._current = self._current or next(self._orphans, None)
        if segment is None:
            return False
        more = self._deliver(segment, consumers)
        self.in_progress = more or any(consumer.due <= time.monotonic() for consumer in consumers)
        return self.in_progress

    def leave(self) -> None:
        """Close the current segment, and end the pass."""
        self.in_progress = False
        self._close()

    def _deliver(self, segment: Segment, consumers: Sequence[Consumer]) -> bool:
        """Export a batch of one segment for each consumer. Return False once there is no more and it is closed."""
        before, more = self._count(segment, consumers), False
        try:
            for consumer in consumers:
                more |= self._export(consumer, segment)
        except Exception as error:  # this segment is skipped, the others are not
            if not is_temporary(error):
                self._settled.add(segment.path.name)
            self._report(f"{UNREADABLE}: {type(error).__name__} in {segment.path.name}")
            more = False
        self.delivered += self._count(segment, consumers) - before
        if not more:
            self._close()
        return more

    def _close(self) -> None:
        segment, self._current = self._current, None
        if segment is not None:
            if segment.unrecorded:  # only this process knows the sent records, and does not send them again
                self._settled.add(segment.path.name)
            write_pending_entries([segment], self._notice)
            segment.close()

    @staticmethod
    def _count(segment: Segment, consumers: Sequence[Consumer]) -> int:
        return sum(segment.position(consumer.exporter.name).delivered for consumer in consumers)
