"""The journal and the courier of a process together, asked by several threads."""

from __future__ import annotations

import errno
import os
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from amllog.delivery.account import Account
from amllog.delivery.exporter import ExportResult, waiting
from amllog.delivery.outbox import Outbox
from amllog.journal.segment import Segment


class Slow:
    """An outlet that takes nothing, and its time to say what is meant for it."""

    max_records, max_bytes = 10, 1024

    def __init__(self, name: str) -> None:
        self.name = name
        self.asked, self.may_answer = threading.Event(), threading.Event()

    def concerns(self, segment: Segment) -> bool:
        return False

    def wants(self, line: bytes) -> bool:
        self.asked.set()
        return self.may_answer.wait(600)

    counts = wants

    def export(self, lines: Sequence[bytes], seconds: float) -> ExportResult:
        return ExportResult(waiting("no"))

    def close(self) -> None:
        """Nothing."""


def test_other_outlets_while_somebody_counts(tmp_path: Path) -> None:
    """The account that a thread asks for is of the outlets there were, if setup() changes them meanwhile."""
    post, one, other = Outbox(lambda message, level: None), Slow("one"), Slow("other")
    post.open(tmp_path, "n", 1024**2)
    post.set_exporters([one])
    post.append(b'{"time":"1"}\n')
    found: list[Account] = []
    thread = threading.Thread(target=lambda: found.append(post.status()))
    thread.start()
    assert one.asked.wait(600)
    post.set_exporters([other])
    one.may_answer.set()
    thread.join()
    other.may_answer.set()
    post.close(0.0)
    assert [list(account.outlets) for account in found] == [["one"]]


LINE = b'{"time":"2026-11-22T20:52:35.123456Z","iKey":"","ver":1,"name":"Microsoft.ApplicationInsights.Message"}\n'


def test_shutdown_beside_threads(tmp_path: Path) -> None:
    """Each line that was taken is in the final account, whatever other threads do while it is made."""
    for number in range(10):
        post = Outbox(lambda message, level: None)
        post.open(tmp_path / str(number), "n", 1024**2)
        taken: list[int] = []

        def write(post: Outbox = post, taken: list[int] = taken) -> None:
            while post.append(LINE):
                taken.append(1)

        threads = [threading.Thread(target=write) for _ in range(3)]
        for thread in threads:
            thread.start()
        account = post.close(0.0)
        for thread in threads:
            thread.join()
        assert account.accepted == len(taken)


NO_FILES = """
import os, resource, sys, time
from pathlib import Path
from amllog.delivery.outbox import Outbox
post = Outbox(lambda message, level: None)
limits = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (3, limits[1]))
post.open(Path("journal").absolute(), "n", 1024**2)
line = b'{"time":"1","iKey":""}\\n'
print(post.append(line), post.append(line), post.status().directory == "")
resource.setrlimit(resource.RLIMIT_NOFILE, limits)
time.sleep(0.3)
print(post.append(line), post.status().accepted, dict(post.refused.counts()))
print(len(next(Path("journal").glob("*.jsonl")).read_bytes().splitlines()))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs limits of the system")
def test_a_journal_that_cannot_be_opened_at_first(child: Any) -> None:
    """Lines wait in memory while no file can be opened, and are written once one can."""
    ran = child(NO_FILES)
    assert (ran.stdout.splitlines(), ran.stderr) == (["True True True", "True 3 {}", "3"], "")


class Faulty:
    """An outlet with a fault in its own code, at first."""

    name, max_records, max_bytes = "faulty", 10, 1024

    def __init__(self, *faults: BaseException) -> None:
        self.faults = list(faults)

    def concerns(self, segment: Segment) -> bool:
        if self.faults:
            raise self.faults.pop()
        return True

    def wants(self, line: bytes) -> bool:
        return True

    counts = wants

    def export(self, lines: Sequence[bytes], seconds: float) -> ExportResult:
        return ExportResult()

    def close(self) -> None:
        """Nothing."""


@pytest.mark.parametrize("fault", [RecursionError(), MemoryError(), SystemExit(1)])
def test_a_fault_does_not_end_the_worker(tmp_path: Path, fault: BaseException) -> None:
    """An unexpected exception in the delivery thread is reported once, and delivery continues."""
    notices: list[str] = []
    post = Outbox(lambda message, level: notices.append(message))
    post.open(tmp_path, "n", 1024**2)
    post.append(LINE)
    post.set_exporters([Faulty(fault)])
    deadline = time.monotonic() + 600
    while post.status().outlets["faulty"].delivered < 1 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert post.close(200).outlets["faulty"].delivered == 1
    assert [type(fault).__name__ in notice for notice in notices] == [True]


class Watched(Faulty):
    """An outlet that takes its first batch once it may."""

    def __init__(self) -> None:
        super().__init__()
        self.offers: list[list[bytes]] = []
        self.asked, self.may_answer = threading.Event(), threading.Event()

    def export(self, lines: Sequence[bytes], seconds: float) -> ExportResult:
        self.offers.append(list(lines))
        self.asked.set()
        self.may_answer.wait(600)
        return ExportResult()


def test_own_lines_between_the_batches_of_a_leftover(tmp_path: Path) -> None:
    """A long file of another process holds up no line of this one, and is sent to its end all the same."""
    left = [LINE.replace(b"123456", b"%06d" % number) for number in range(500)]
    (tmp_path / "20260101T000000-gone-999999-abcd.jsonl").write_bytes(b"".join(left))
    post, outlet = Outbox(lambda message, level: None), Watched()
    post.open(tmp_path, "gone", 1024**2)
    post.set_exporters([outlet])
    post.drain(0.0)  # wakes the worker
    assert outlet.asked.wait(600)
    post.append(LINE)
    outlet.may_answer.set()
    post.drain(600)
    assert [LINE] in outlet.offers[:4]
    post.drain(600, with_orphans=True)
    assert [line for batch in outlet.offers for line in batch if line != LINE] == left
    assert post.status().leftovers_delivered == 500
    post.close(200)


NO_FILES_ANY_MORE = """
import os, resource, time
from pathlib import Path
from amllog.delivery.outbox import Outbox
notices = []
post = Outbox(lambda message, level: notices.append(message))
post.open(Path("journal").absolute(), "n", 1024**2)
line = b'{"time":"1","iKey":""}\\n'
post.append(line)
limits = resource.getrlimit(resource.RLIMIT_NOFILE)
os.closerange(3, 64)
resource.setrlimit(resource.RLIMIT_NOFILE, (3, limits[1]))
for _ in range(1_001): assert post.append(line)
print(dict(post.status().outlets), dict(post.refused.counts()))
resource.setrlimit(resource.RLIMIT_NOFILE, limits)
post.drain(1)
print(post.append(line), post.status().accepted, dict(post.refused.counts()))
print(sum(path.read_bytes().count(line) for path in Path("journal").glob("*.jsonl")))
print(sum("no journal in" in notice for notice in notices) < 10)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs limits of the system")
def test_a_file_that_cannot_be_opened_after_the_descriptor_was_closed(child: Any) -> None:
    """1,000 lines wait in memory while no other file can be opened; only what is more is refused."""
    ran = child(NO_FILES_ANY_MORE)
    refused = {"the journal cannot be written": 1}
    assert ran.stderr == ""
    assert ran.stdout.splitlines() == [f"{{}} {refused}", f"True 1003 {refused}", "1002", "True"]


class FaultyForLeftovers(Faulty):
    """The same for files of processes that have ended only."""

    def concerns(self, segment: Segment) -> bool:
        return "-999999-" not in segment.path.name or super().concerns(segment)


@pytest.mark.parametrize(
    ("fault", "delivered"), [(OSError(errno.EMFILE, "no descriptor"), 1), (RecursionError(), 0)]
)
def test_a_leftover_that_fails(tmp_path: Path, fault: BaseException, delivered: int) -> None:
    """It is sent later where the machine lacked something, and else left to another process."""
    (tmp_path / "20260101T000000-gone-999999-abcd.jsonl").write_bytes(LINE)
    notices: list[str] = []
    post = Outbox(lambda message, level: notices.append(message))
    post.open(tmp_path, "gone", 1024**2)
    post.set_exporters([FaultyForLeftovers(fault)])
    for _ in range(3):
        post.drain(600, with_orphans=True)
    assert post.status().leftovers_delivered == delivered
    assert [type(fault).__name__ in notice for notice in notices] == [True]
    post.close(200)
