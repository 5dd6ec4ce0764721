"""Deliver all segments of ended processes in a directory, for `amllog deliver`.

Unlike `delivery/orphans.py`, which delivers them in the background, it delivers to the end within a time limit.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from amllog.delivery.consumer import Consumer
from amllog.delivery.exporter import Exporter
from amllog.journal.directory import claim_orphans
from amllog.journal.disk_usage import delete_unused_copies

MAX_EXPORT_SECONDS = 10.0
TRIES = 4  # of an exporter that fails, before its records are left waiting
FILES = 100  # that are open at the same time: the records of small files go into one batch


class OrphanDelivery:
    """The delivery of one directory, for at most `seconds`."""

    def __init__(self, directory: Path, node: str, exporters: Sequence[Exporter], seconds: float) -> None:
        self._directory, self._node = directory, node
        self._consumers = [Consumer(exporter) for exporter in exporters]
        self._outlets = [exporter.name for exporter in exporters]
        self._deadline = time.monotonic() + seconds
        self._settled: set[str] = set()  # names of segments in which nothing waits
        # About files that cannot be sent, and checkpoints that cannot be written.
        self._reports: list[str] = []

    def deliver(self, report: Callable[[str], object]) -> None:
        """Export all that waits, and retry where an exporter fails. `report` gets each error once."""
        reported: set[str] = set()
        while True:
            settled = self._pass()
            errors = [f"{one.exporter.name}: {one.last_error}" for one in self._consumers if one.last_error]
            for error in [*errors, *self._reports]:
                if error not in reported:
                    reported.add(error)
                    report(error)
            pauses, remaining = self._pauses(), self.remaining_seconds()
            if not (settled or pauses) or remaining <= 0 or (pauses and min(pauses) > remaining):
                delete_unused_copies(self._directory)
                return
            if pauses:
                time.sleep(min(pauses))

    def remaining_seconds(self) -> float:
        """Return how much of the time is left. Negative when it is over."""
        return self._deadline - time.monotonic()

    def _pass(self) -> bool:
        """Export from all orphans once. Return whether a line was settled."""
        settled = False
        orphans = claim_orphans(
            self._directory, self._node, self._outlets, self._settled, self._reports.append
        )
        while segments := list(itertools.islice(orphans, FILES)):
            try:
                for consumer in self._consumers:
                    while self._may_export(consumer) and consumer.export_next(segments, self._seconds()):
                        settled = True
            finally:
                for segment in segments:
                    segment.close()
                    if segment.unrecorded:  # only this object knows the sent records, and sends them once
                        self._settled.add(segment.path.name)
                    if segment.checkpoint.warning:
                        self._reports.append(segment.checkpoint.warning)
            if self.remaining_seconds() <= 0:
                break
        return settled

    def _seconds(self) -> float:
        """Return the time limit of the next export."""
        return min(MAX_EXPORT_SECONDS, max(0.1, self.remaining_seconds()))

    def _may_export(self, consumer: Consumer) -> bool:
        is_due = consumer.failures < TRIES and time.monotonic() >= consumer.due
        return is_due and self.remaining_seconds() > 0

    def _pauses(self) -> list[float]:
        """Return the seconds until each exporter that failed may be tried again."""
        now = time.monotonic()
        pauses = [one.due - now for one in self._consumers if one.failures < TRIES]
        return [pause for pause in pauses if pause > 0]
