"""The delivery of orphans to the end."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from amllog.delivery.exporter import ExportResult, waiting
from amllog.delivery.orphan_delivery import OrphanDelivery

if TYPE_CHECKING:
    from collections.abc import Sequence

    from amllog.delivery.exporter import Exporter

from .conftest import ORPHAN, AcceptingExporter, message_line, messages  # isort: skip


class Scripted(AcceptingExporter):
    """An exporter that returns prepared results, and keeps the lines that it accepted."""

    name = "scripted"
    max_records = 3
    max_bytes = 1_000_000

    def __init__(self, *results: ExportResult) -> None:
        self.results = list(results)
        self.accepted: list[bytes] = []

    def export(self, lines: Sequence[bytes], seconds: float) -> ExportResult:
        result = self.results.pop(0) if self.results else ExportResult()
        verdicts = result.verdicts(len(lines))
        self.accepted += [line for line, verdict in zip(lines, verdicts) if verdict.state == "delivered"]
        return result


def write(folder: Path, *lines: bytes) -> Path:
    """Write the journal file of an ended process."""
    path = folder / ORPHAN
    path.write_bytes(b"".join(lines))
    return path


def deliver(folder: Path, exporter: Exporter, seconds: float = 600) -> list[str]:
    """Deliver the orphans of a folder. Return the reports."""
    reports: list[str] = []
    OrphanDelivery(folder, "gone", [exporter], seconds).deliver(reports.append)
    return reports


def test_all_whole_lines_are_delivered(tmp_path: Path) -> None:
    """All whole lines are delivered in batches. A torn last line does not prevent the end."""
    write(tmp_path, *(message_line(str(number)) for number in range(8)), message_line("torn")[:50])
    exporter = Scripted()
    assert deliver(tmp_path, exporter) == []
    assert messages(exporter.accepted) == [str(number) for number in range(8)]


def test_a_failing_exporter_is_retried(tmp_path: Path) -> None:
    """The error is reported once, and the waiting lines are delivered with the next attempt."""
    write(tmp_path, message_line("a"), message_line("b"))
    exporter = Scripted(ExportResult(waiting("busy")), ExportResult(exceptions={0: waiting("busy")}))
    assert deliver(tmp_path, exporter) == ["scripted: busy"]
    assert sorted(messages(exporter.accepted)) == ["a", "b"]


def test_an_exporter_that_keeps_failing_is_given_up(tmp_path: Path) -> None:
    """Delivery ends within its time, and no line is lost."""
    write(tmp_path, message_line("a"))
    began = time.monotonic()
    deliver(tmp_path, Scripted(*[ExportResult(waiting("down"))] * 20), seconds=2)
    assert time.monotonic() - began < 100
    exporter = Scripted()
    deliver(tmp_path, exporter)
    assert messages(exporter.accepted) == ["a"]


@pytest.mark.parametrize("kind", ["fifo", "directory", "link"])
def test_an_unusable_checkpoint_is_reported(tmp_path: Path, kind: str) -> None:
    """A segment whose checkpoint cannot be used is reported, also if it is the only orphan."""
    path = write(tmp_path, message_line("a"))
    checkpoint = path.with_suffix(".ack")
    if kind == "fifo":
        if not hasattr(os, "mkfifo"):
            pytest.skip("needs FIFOs")
        os.mkfifo(checkpoint)
    elif kind == "directory":
        checkpoint.mkdir()
    else:
        checkpoint.symlink_to(tmp_path / "elsewhere")
    (report,) = deliver(tmp_path, Scripted())
    assert report.startswith(f"{path} is not sent: {checkpoint.name} is ")


ALMOST_OUT_OF_DESCRIPTORS = """
import os, resource, sys
from collections import Counter
from pathlib import Path
from amllog.journal import own_files
from amllog.journal.directory import claim, claim_orphans

path, place = Path(sys.argv[1]), sys.argv[2]
segment = claim(path, "gone")
if place == "fallback":
    os.mkdir(path.with_suffix(".ack"))  # no entry can be written to a directory
segment.acknowledge("scripted", segment.size, 1, Counter(), [], passed=1)
assert segment.unrecorded == ""
segment.close()
if place == "fallback":
    os.rmdir(path.with_suffix(".ack"))
with open(path, "ab") as file:
    file.write(path.read_bytes())

def found():
    orphans = claim_orphans(path.parent, "gone", ["scripted"], known, print)
    return [segment.position("scripted").delivered for segment in orphans]

known = set()
free = os.dup(0)
os.close(free)
limits = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (free + 1, limits[1]))
print(found())
last = os.dup(0)
try:
    own_files.open_regular(path.parent / "missing")
except FileNotFoundError:
    print("missing")
os.close(last)
resource.setrlimit(resource.RLIMIT_NOFILE, limits)
print(found())
"""


@pytest.mark.parametrize("place", ["file", "fallback"])
def test_a_segment_waits_until_its_checkpoint_can_be_read(tmp_path: Path, child: Any, place: str) -> None:
    """A segment is not sent while no descriptor is free for its checkpoint. The rest is sent later, once."""
    path = write(tmp_path, message_line("a"))
    ran = child(ALMOST_OUT_OF_DESCRIPTORS, str(path), place, env={"TMPDIR": str(tmp_path)})
    assert ran.stderr == ""
    report, *rest = ran.stdout.splitlines()
    assert report.startswith(f"{path} is not sent: ") and report.endswith(".ack Too many open files")
    assert rest == ["[]", "missing", "[1]"]
