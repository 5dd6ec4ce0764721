"""Leftovers: delivered to the end, and what was refused for its age found again exactly."""

from __future__ import annotations

import os
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from amllog.delivery.exporter import ExportResult, refused, waiting
from amllog.delivery.orphan_delivery import ORIGINAL_TIME, OrphanDelivery, refused_for_age, renewed
from amllog.exporters.app_insights.ingestion_protocol import TOO_OLD
from amllog.journal.directory import claim
from amllog.record import envelope

if TYPE_CHECKING:
    from collections.abc import Sequence

    from amllog.delivery.exporter import Exporter
    from amllog.journal.segment import Segment

KEY = "00000000-0000-0000-0000-000000000001"
NAME = "20260101T000000-gone-999999-abcd.jsonl"


class Shelf:
    """An outlet that keeps what it takes, and says of each line what it is told to."""

    name = "shelf"
    max_records = 3
    max_bytes = 1_000_000

    def __init__(self, *answers: ExportResult) -> None:
        self.answers = list(answers)
        self.taken: list[bytes] = []

    def concerns(self, segment: Segment) -> bool:
        return True

    def wants(self, line: bytes) -> bool:
        return b"not mine" not in line

    counts = wants

    def export(self, lines: Sequence[bytes], seconds: float) -> ExportResult:
        answer = self.answers.pop(0) if self.answers else ExportResult()
        verdicts = [answer.exceptions.get(index, answer.default) for index in range(len(lines))]
        self.taken += [line for line, verdict in zip(lines, verdicts) if verdict.state == "delivered"]
        return answer

    def close(self) -> None:
        """Nothing to close."""


def line(message: str, age_seconds: float = 0.0) -> bytes:
    """A journal line of that age."""
    return envelope.encode_record(
        time.time() - age_seconds, KEY, {}, "MessageData", {"message": message, "properties": {}}
    )


def write(folder: Path, *lines: bytes) -> Path:
    """A journal file whose writer is gone."""
    path = folder / NAME
    path.write_bytes(b"".join(lines))
    return path


def opened(path: Path) -> Segment:
    """The file, claimed."""
    segment = claim(path, "gone")
    assert segment is not None
    return segment


def deliver(folder: Path, outlet: Exporter, seconds: float = 600) -> list[str]:
    """Deliver a folder's leftovers; the troubles that were told."""
    told: list[str] = []
    OrphanDelivery(folder, "gone", [outlet], seconds).deliver(told.append)
    return told


def said(lines: Sequence[bytes]) -> list[str]:
    """The messages of lines."""
    return [(envelope.decode_line(one) or {})["data"]["baseData"]["message"] for one in lines]


def test_everything_is_delivered_a_torn_end_left_out(tmp_path: Path) -> None:
    """In batches, to the end; and a torn last line does not keep it from ending."""
    write(tmp_path, *(line(str(number)) for number in range(8)), line("torn")[:50])
    shelf = Shelf()
    assert deliver(tmp_path, shelf) == []
    assert said(shelf.taken) == [str(number) for number in range(8)]


def test_an_outlet_that_fails_is_tried_again(tmp_path: Path) -> None:
    """Its trouble is told once; what waited is delivered with the next try."""
    write(tmp_path, line("a"), line("b"))
    shelf = Shelf(ExportResult(waiting("busy")), ExportResult(exceptions={0: waiting("busy")}))
    assert deliver(tmp_path, shelf) == ["shelf: busy"]
    assert sorted(said(shelf.taken)) == ["a", "b"]


def test_an_outlet_that_goes_on_failing_is_given_up(tmp_path: Path) -> None:
    """Within the time, and nothing is lost."""
    write(tmp_path, line("a"))
    began = time.monotonic()
    deliver(tmp_path, Shelf(*[ExportResult(waiting("down"))] * 20), seconds=2)
    assert time.monotonic() - began < 100
    shelf = Shelf()
    deliver(tmp_path, shelf)
    assert said(shelf.taken) == ["a"]


@pytest.mark.parametrize("kind", ["fifo", "directory", "link"])
def test_what_is_not_sent_is_reported(tmp_path: Path, kind: str) -> None:
    """Also where it is the only leftover, so that nothing is settled."""
    path = write(tmp_path, line("a"))
    checkpoint = path.with_suffix(".ack")
    if kind == "fifo":
        if not hasattr(os, "mkfifo"):
            pytest.skip("needs FIFOs")
        os.mkfifo(checkpoint)
    elif kind == "directory":
        checkpoint.mkdir()
    else:
        checkpoint.symlink_to(tmp_path / "elsewhere")
    (told,) = deliver(tmp_path, Shelf())
    assert told.startswith(f"{path} is not sent: {checkpoint.name} is ")


def test_what_was_refused_for_its_age_is_found(tmp_path: Path) -> None:
    """Batch by batch, the oldest of each; with those that were offered again, without those that are not ours."""
    lines = [
        line("old 1", 900),
        line("not mine", 999),
        line("new"),
        line("waits, then old", 800),
        line("old 2", 700),
    ]
    path = write(tmp_path, *lines)
    starts = [sum(map(len, lines[:number])) for number in range(6)]
    segment = opened(path)
    shelf = Shelf()
    segment.acknowledge("shelf", starts[4], 1, Counter({TOO_OLD: 1}), [starts[3]])
    segment.acknowledge("shelf", starts[5], 0, Counter({TOO_OLD: 2}), [])
    assert said(refused_for_age(segment, shelf)) == ["old 1", "waits, then old", "old 2"]
    segment.acknowledge("shelf", starts[5], 1, Counter({TOO_OLD: -1}), [])
    assert said(refused_for_age(segment, shelf)) == ["waits, then old", "old 2"]
    segment.close()


def test_a_resend_moves_the_account(tmp_path: Path) -> None:
    """Taken: delivered. Refused otherwise: under the new reason. Waiting: as before, and the rest after it."""
    path = write(tmp_path, *(line(f"old {number}", 1000 - number) for number in range(4)))
    segment = opened(path)
    segment.acknowledge("shelf", segment.size, 0, Counter({TOO_OLD: 4}), [])
    segment.close()
    shelf = Shelf(ExportResult(exceptions={1: refused("400 bad"), 2: waiting("busy")}))
    assert OrphanDelivery(tmp_path, "gone", [shelf], 600).resend_old(shelf, pytest.fail) == 1
    segment = opened(path)
    progress = segment.position("shelf")
    assert (progress.delivered, dict(progress.refused)) == (1, {TOO_OLD: 2, "400 bad": 1})
    assert said(refused_for_age(segment, shelf)) == ["old 2", "old 3"]
    segment.close()


def test_a_renewed_line_keeps_its_own_time(tmp_path: Path) -> None:
    """As a dimension, also when it is renewed twice; time and key stay its first members."""
    old = line("m", 200_000)
    new = renewed(renewed(old))
    record = envelope.decode_line(new) or {}
    assert record["data"]["baseData"]["properties"][ORIGINAL_TIME] == envelope.read_time(old)
    assert envelope.read_time(new) > envelope.read_time(old)
    assert envelope.instrumentation_key(new) == KEY.encode()
    assert renewed(b"torn") == b"torn"


ALMOST_OUT_OF_DESCRIPTORS = """
import os, resource, sys
from collections import Counter
from pathlib import Path
from amllog.journal import own_files
from amllog.journal.directory import claim, claim_orphans

path, place = Path(sys.argv[1]), sys.argv[2]
segment = claim(path, "gone")
if place == "spare":
    os.mkdir(path.with_suffix(".ack"))  # which no entry can be written to
segment.acknowledge("shelf", segment.size, 1, Counter(), [], passed=1)
assert segment.unrecorded == ""
segment.close()
if place == "spare":
    os.rmdir(path.with_suffix(".ack"))
with open(path, "ab") as file:
    file.write(path.read_bytes())

def found():
    orphans = claim_orphans(path.parent, "gone", ["shelf"], known, print)
    return [segment.position("shelf").delivered for segment in orphans]

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


@pytest.mark.parametrize("place", ["file", "spare"])
def test_a_checkpoint_is_read_once_there_is_a_descriptor(tmp_path: Path, child: Any, place: str) -> None:
    """Without a free descriptor nothing of the file is sent; later the rest is, and nothing twice."""
    path = write(tmp_path, line("a"))
    ran = child(ALMOST_OUT_OF_DESCRIPTORS, str(path), place, env={"TMPDIR": str(tmp_path)})
    assert ran.stderr == ""
    report, *rest = ran.stdout.splitlines()
    assert report.startswith(f"{path} is not sent: ") and report.endswith(".ack Too many open files")
    assert rest == ["[]", "missing", "[1]"]
