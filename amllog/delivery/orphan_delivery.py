"""What processes that are gone have left in a journal, delivered on request and to the end.

In: a directory and outlets. Out: acknowledgements in the files; records that the service takes no more for their age
are sent with the present time, if that is asked for.
"""

from __future__ import annotations

import itertools
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from amllog.delivery.exporter import Consumer, Exporter
from amllog.exporters.app_insights.ingestion_protocol import TOO_OLD
from amllog.journal.directory import claim, claim_orphans, journal_files
from amllog.journal.disk_usage import delete_unused_copies
from amllog.journal.segment import Segment
from amllog.record import envelope

OFFER_SECONDS = 10.0
TRIES = 4  # of an outlet that fails, before the rest is left to wait
BATCH = 500
TOGETHER = 100  # files that are open at once: what small ones hold goes in one request
ORIGINAL_TIME = "original_time"


class OrphanDelivery:
    """Delivers the leftovers of a directory, for at most so many seconds."""

    def __init__(self, directory: Path, node: str, outlets: Sequence[Exporter], seconds: float) -> None:
        self._directory, self._node = directory, node
        self._routes = [Consumer(outlet) for outlet in outlets]
        self._names = [outlet.name for outlet in outlets]
        self._deadline = time.monotonic() + seconds
        self._settled: set[str] = set()
        self._reports: list[str] = []  # of files that cannot be sent, or not be noted

    def deliver(self, tell: Callable[[str], None]) -> None:
        """Offer everything that waits, again where an outlet fails; `tell` hears what the trouble is."""
        told: set[str] = set()
        while True:
            settled = self._pass()
            troubles = [
                f"{consumer.exporter.name}: {consumer.trouble}"
                for consumer in self._routes
                if consumer.trouble
            ]
            for trouble in [*troubles, *self._reports]:
                if trouble not in told:
                    told.add(trouble)
                    tell(trouble)
            pauses = self._pauses()
            if not (settled or pauses) or self._left() <= 0 or (pauses and min(pauses) > self._left()):
                delete_unused_copies(self._directory)
                return
            if pauses:
                time.sleep(min(pauses))

    def resend_old(self, outlet: Exporter, tell: Callable[[str], None]) -> int:
        """Send what was refused for its age with the present time; how many were taken.

        `tell` hears what was not sent for which reason, and what cannot be noted.
        """
        count = 0
        for path in journal_files(self._directory):
            segment = claim(path, self._node)
            if segment is None:
                continue
            try:
                count += self._resend(segment, outlet)
            except OSError as error:
                tell(f"{path} is not sent with the present time: {error.strerror}")
            finally:
                segment.close()
            if segment.checkpoint.warning:
                tell(segment.checkpoint.warning)
        return count

    def _left(self) -> float:
        return self._deadline - time.monotonic()

    def _seconds(self) -> float:
        return min(OFFER_SECONDS, max(0.1, self._left()))

    def _pass(self) -> bool:
        """Once through all leftovers; True if anything was settled."""
        settled = False
        found = claim_orphans(self._directory, self._node, self._names, self._settled, self._reports.append)
        while together := list(itertools.islice(found, TOGETHER)):
            try:
                for consumer in self._routes:
                    while self._may(consumer) and consumer.step(together, self._seconds()):
                        settled = True
            finally:
                for segment in together:
                    segment.close()
                    if segment.unrecorded:  # what was sent of it is known here alone, and sent no second time
                        self._settled.add(segment.path.name)
                    if segment.checkpoint.warning:
                        self._reports.append(segment.checkpoint.warning)
            if self._left() <= 0:
                break
        return settled

    def _may(self, consumer: Consumer) -> bool:
        return self._left() > 0 and consumer.failures < TRIES and time.monotonic() >= consumer.due

    def _pauses(self) -> list[float]:
        """Seconds to wait for the outlets that failed and may be tried again."""
        now = time.monotonic()
        return [
            consumer.due - now
            for consumer in self._routes
            if consumer.due > now and consumer.failures < TRIES
        ]

    def _resend(self, segment: Segment, outlet: Exporter) -> int:
        old, count = refused_for_age(segment, outlet), 0
        for start in range(0, len(old), BATCH):
            batch = [renewed(line) for line in old[start : start + BATCH]]
            if self._left() <= 0:
                break
            answer = outlet.export(batch, self._seconds())
            verdicts = [answer.exceptions.get(index, answer.default) for index in range(len(batch))]
            states = [verdict.state for verdict in verdicts]
            moved = states.index("waiting") if "waiting" in states else len(states)
            reasons = Counter(verdict.reason for verdict in verdicts[:moved] if verdict.state == "refused")
            delivered = states[:moved].count("delivered")
            reasons[TOO_OLD] -= moved
            progress = segment.position(outlet.name)
            segment.acknowledge(outlet.name, progress.offset, delivered, reasons, progress.retry)
            count += delivered
            if moved < len(batch):
                break
        return count


def refused_for_age(segment: Segment, outlet: Exporter) -> list[bytes]:
    """The lines that an outlet refused as too old, and nobody has sent again since; the oldest first in a batch.

    Acknowledgements count refusals by batch: of a batch's lines it was the oldest that were too old.
    """
    lines: list[bytes] = []
    resent, start, again = 0, 0, list[int]()
    for entry in segment.checkpoint.entries(outlet.name):
        count = entry.refused.get(TOO_OLD, 0)
        if count > 0:
            offered = [line for line in map(segment.line, again) if envelope.is_complete(line)]
            offered += [line for line in _between(segment, start, entry.offset) if outlet.wants(line)]
            lines += sorted(offered, key=envelope.read_time)[:count]
        resent -= min(0, count)
        start, again = entry.offset, entry.retry
    return lines[resent:]


def renewed(line: bytes) -> bytes:
    """A line with the present time; its own becomes a dimension."""
    record = envelope.decode_line(line)
    if record is None:
        return line
    properties = record["data"]["baseData"].setdefault("properties", {})
    properties.setdefault(ORIGINAL_TIME, record["time"])
    record["time"] = envelope.format_timestamp(time.time())
    return envelope.encode_envelope(record)


def _between(segment: Segment, start: int, end: int) -> list[bytes]:
    found = []
    for line in segment.lines_from(start):
        if start >= end:
            break
        if envelope.is_complete(line):
            found.append(line)
        start += len(line)
    return found
