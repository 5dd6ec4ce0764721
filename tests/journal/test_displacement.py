"""Detecting that others have renamed or deleted segments."""

from __future__ import annotations

import threading
from pathlib import Path

from amllog.journal.displacement import Displacement
from amllog.journal.writer import Journal

from .conftest import LINE, line  # isort: skip


def test_one_notice_for_each_kind_of_damage(tmp_path: Path) -> None:
    """A segment that is renamed again and again, as by logrotate, causes one notice and loses no record."""
    notices: list[str] = []
    journal = Journal(tmp_path, max_bytes=1024**2, node="n", outlets=["a"], notice=notices.append)
    displacement = Displacement(journal, threading.RLock())
    for number in range(5):
        journal.append(line(number, 1000))
        journal.segments[-1].path.rename(tmp_path / f"{number}.bak")
        displacement.check()
    journal.append(line(5, 1000))
    assert len(notices) == 1
    assert sum(segment.count_records() for segment in journal.segments) == 6


def test_a_segment_that_is_being_deleted_is_not_displaced(tmp_path: Path) -> None:
    """A check does not mistake a deletion by the same process for one by another program."""
    wrong: list[object] = []
    for _ in range(200):
        journal = Journal(tmp_path, max_bytes=1024**2, node="n", outlets=["a"])
        journal.append(LINE)
        displacement, deleted = Displacement(journal, threading.RLock()), threading.Event()

        def check(displacement: Displacement = displacement, deleted: threading.Event = deleted) -> None:
            while not deleted.is_set():
                wrong.extend(displacement.displaced_segments())

        thread = threading.Thread(target=check)
        thread.start()
        journal.segments[0].remove()
        deleted.set()
        thread.join()
        journal.close()
    assert wrong == []
