"""The journal and the worker of a process together."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from amllog.delivery.account import Account
from amllog.delivery.exporter import ExportResult, waiting
from amllog.delivery.outbox import Outbox
from amllog.journal.segment import Segment

from ..conftest import wait_until  # isort: skip
from .conftest import LINE, FaultyExporter  # isort: skip


class Slow:
    """An exporter that accepts nothing, and blocks while it is asked which lines it wants."""

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
        """Do nothing."""


def test_exporters_change_during_a_count(tmp_path: Path) -> None:
    """An account has the exporters that existed when it was requested, even if `setup()` changes them meanwhile."""
    outbox, one, other = Outbox(lambda message, level: None), Slow("one"), Slow("other")
    outbox.open(tmp_path, "n", 1024**2)
    outbox.set_exporters([one])
    outbox.append(b'{"time":"1"}\n')
    accounts: list[Account] = []
    thread = threading.Thread(target=lambda: accounts.append(outbox.status()))
    thread.start()
    assert one.asked.wait(600)
    outbox.set_exporters([other])
    one.may_answer.set()
    thread.join()
    other.may_answer.set()
    outbox.close(0.0)
    assert [list(account.outlets) for account in accounts] == [["one"]]


def test_close_while_threads_append(tmp_path: Path) -> None:
    """Each accepted line is in the final account, although other threads append while it is computed."""
    for number in range(10):
        outbox = Outbox(lambda message, level: None)
        outbox.open(tmp_path / str(number), "n", 1024**2)
        accepted: list[int] = []

        def write(outbox: Outbox = outbox, accepted: list[int] = accepted) -> None:
            while outbox.append(LINE):
                accepted.append(1)

        threads = [threading.Thread(target=write) for _ in range(3)]
        for thread in threads:
            thread.start()
        account = outbox.close(0.0)
        for thread in threads:
            thread.join()
        assert account.accepted == len(accepted)


NO_FILES = """
import os, resource, sys, time
from pathlib import Path
from amllog.delivery.outbox import Outbox
outbox = Outbox(lambda message, level: None)
limits = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (3, limits[1]))
outbox.open(Path("journal").absolute(), "n", 1024**2)
line = b'{"time":"1","iKey":""}\\n'
print(outbox.append(line), outbox.append(line), outbox.status().directory == "")
resource.setrlimit(resource.RLIMIT_NOFILE, limits)
time.sleep(0.3)
print(outbox.append(line), outbox.status().accepted, dict(outbox.refused.counts()))
print(len(next(Path("journal").glob("*.jsonl")).read_bytes().splitlines()))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs limits of the system")
def test_lines_wait_until_a_journal_can_be_opened(child: Any) -> None:
    """Lines wait in memory while no file can be opened, and are written once one can."""
    ran = child(NO_FILES)
    assert (ran.stdout.splitlines(), ran.stderr) == (["True True True", "True 3 {}", "3"], "")


@pytest.mark.parametrize("fault", [RecursionError(), MemoryError(), SystemExit(1)])
def test_a_fault_does_not_end_the_worker(tmp_path: Path, fault: BaseException) -> None:
    """An unexpected exception in the delivery thread is reported once, and delivery continues."""
    notices: list[str] = []
    outbox = Outbox(lambda message, level: notices.append(message))
    outbox.open(tmp_path, "n", 1024**2)
    outbox.append(LINE)
    outbox.set_exporters([FaultyExporter(fault)])
    wait_until(lambda: outbox.status().outlets["faulty"].delivered == 1)
    assert outbox.close(200).outlets["faulty"].delivered == 1
    assert [type(fault).__name__ in notice for notice in notices] == [True]


NO_FILES_ANY_MORE = """
import os, resource, time
from pathlib import Path
from amllog.delivery.outbox import Outbox
notices = []
outbox = Outbox(lambda message, level: notices.append(message))
outbox.open(Path("journal").absolute(), "n", 1024**2)
line = b'{"time":"1","iKey":""}\\n'
outbox.append(line)
limits = resource.getrlimit(resource.RLIMIT_NOFILE)
os.closerange(3, 64)
resource.setrlimit(resource.RLIMIT_NOFILE, (3, limits[1]))
for _ in range(1_001): assert outbox.append(line)
print(dict(outbox.status().outlets), dict(outbox.refused.counts()))
resource.setrlimit(resource.RLIMIT_NOFILE, limits)
outbox.drain(1)
print(outbox.append(line), outbox.status().accepted, dict(outbox.refused.counts()))
print(sum(path.read_bytes().count(line) for path in Path("journal").glob("*.jsonl")))
print(sum("no journal in" in notice for notice in notices) < 10)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs limits of the system")
def test_lines_wait_after_the_descriptor_was_closed(child: Any) -> None:
    """While no other file can be opened, 1,000 lines wait in memory. Further lines are refused."""
    ran = child(NO_FILES_ANY_MORE)
    refused = {"the journal cannot be written": 1}
    assert ran.stderr == ""
    assert ran.stdout.splitlines() == [f"{{}} {refused}", f"True 1003 {refused}", "1002", "True"]
