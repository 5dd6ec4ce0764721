"""The memory of recorded records, and the ways in which records come back."""

from __future__ import annotations

import logging
import logging.handlers
import queue

from amllog.sources.capture import returned_records
from amllog.sources.capture.returned_records import CHANGED, MADE, UNCHANGED, ReturnableRecords, return_path


def make_record(message: str = "loaded", created: float = 1.5, **fields: object) -> logging.LogRecord:
    """Return a stdlib record."""
    record = logging.LogRecord("library", logging.INFO, "file.py", 3, message, (), None)
    record.created = created
    vars(record).update(fields)
    return record


def test_return_path() -> None:
    """Only handlers that may pass a record on bring it back, changed if they have a format or a filter."""
    ours, stream = logging.NullHandler(), logging.StreamHandler()
    plain, formatting = (
        logging.handlers.QueueHandler(queue.Queue()),
        logging.handlers.QueueHandler(queue.Queue()),
    )
    formatting.setFormatter(logging.Formatter("%(message)s"))
    paths = [return_path(reached, ours) for reached in ((ours, stream), (ours, plain), (plain, formatting))]
    assert paths == [0, UNCHANGED, CHANGED]


def test_a_returned_record() -> None:
    """A record with the same time, place and message is recognized, another one is not."""
    records = ReturnableRecords()
    records.add_record(make_record(), "loaded", UNCHANGED)
    assert make_record() in records
    assert make_record("saved") not in records
    assert make_record(created=2.5) not in records


def test_a_returned_traceback() -> None:
    """A record with an exception is recognized if a traceback follows its message."""
    records = ReturnableRecords()
    records.add_record(make_record("failed", exc_text="Traceback"), "failed", UNCHANGED)
    assert make_record("failed\nTraceback (most recent call last):") in records


def test_a_formatted_record() -> None:
    """A record that a handler has formatted is recognized by the words of its message."""
    records = ReturnableRecords()
    records.add_record(make_record("loaded 3 rows"), "loaded 3 rows", CHANGED)
    assert make_record("12:00 INFO loaded 3 rows.") in records
    assert make_record("12:00 INFO loaded 4 rows.") not in records


def test_made_records() -> None:
    """Records that a script makes are equal only if the objects were made at the same time."""
    records = ReturnableRecords()
    records.add_record(make_record(relativeCreated=1.0), "loaded", MADE)
    assert make_record(relativeCreated=1.0) in records
    assert make_record(relativeCreated=2.0) not in records


def test_bounded_memory() -> None:
    """At most twice the limit is remembered, the latest records first."""
    records = ReturnableRecords()
    for number in range(returned_records.MAX_REMEMBERED * 2 + 10):
        records.add((number,), "message", longer=False)
    assert len(records.recent) <= returned_records.MAX_REMEMBERED
    assert records.has((number,), "message") and not records.has((0,), "message")
