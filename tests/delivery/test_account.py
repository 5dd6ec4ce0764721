"""The sums of the account, and its text."""

from __future__ import annotations

import errno
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from amllog.delivery import account
from amllog.delivery.consumer import Consumer
from amllog.delivery.exporter import DELIVERED, ExportResult, refused, waiting
from amllog.journal.writer import Journal

from .conftest import AcceptingExporter  # isort: skip

VERDICTS = {"d": DELIVERED, "w": waiting("later"), "r": refused("bad")}


class Scripted(AcceptingExporter):
    """An exporter that returns the verdicts of a script, and records what it accepted."""

    name, max_records, max_bytes = "scripted", 7, 500

    def __init__(self, script: list[str]) -> None:
        self.script = script
        self.accepted: list[bytes] = []

    def wants(self, line: bytes) -> bool:
        return b"no" not in line

    counts = wants

    def export(self, lines: list[bytes], seconds: float) -> ExportResult:
        assert 0 < len(lines) <= 7
        verdicts = [VERDICTS[self.script.pop(0)] if self.script else DELIVERED for _ in lines]
        self.accepted += [line for line, verdict in zip(lines, verdicts) if verdict is DELIVERED]
        return ExportResult(exceptions=dict(enumerate(verdicts)))


@settings(deadline=None, max_examples=80)
@given(st.lists(st.sampled_from("dwr"), max_size=60), st.lists(st.booleans(), max_size=40))
def test_the_sum_holds(
    tmp_path_factory: pytest.TempPathFactory, script: list[str], wanted: list[bool]
) -> None:
    """The sum holds after each export, for all verdicts. In the end no line waits, and none was accepted twice."""
    journal = Journal(tmp_path_factory.mktemp("j"), max_bytes=1024**2, node="n")
    exporter = Scripted(script)
    consumer = Consumer(exporter)
    for number, want in enumerate(wanted):
        journal.append(b'{"time":"%s%d"}\n' % (b"" if want else b"no ", number))
    addressed = sum(wanted)
    for _ in range(300):
        consumer.export_next(journal.segments, 1)
        result = account.tally(journal.segments, {"scripted": exporter.wants}, Counter(), "")
        counts = result.outlets["scripted"]
        assert (
            counts.accepted == addressed == counts.delivered + counts.waiting + sum(counts.refused.values())
        )
        assert counts.delivered == len(exporter.accepted)
        if not counts.waiting:
            break
    assert counts.waiting == 0 and len(set(exporter.accepted)) == len(exporter.accepted)
    assert result.accepted == len(wanted)
    journal.close()


def test_text(tmp_path: Path) -> None:
    """The text of an account has each reason, and the last error while records wait."""
    journal = Journal(tmp_path / "j", max_bytes=1024**2, node="n")
    for number in range(3):
        journal.append(b'{"time":"%d"}\n' % number)
    journal.segments[0].acknowledge("a", 13, 1, Counter(), [], passed=1)
    wants, unwritten = {"a": lambda line: True}, Counter({"disk": 2})
    errors = {"a": "connection refused", "another": "timeout"}
    result = account.tally(journal.segments, wants, unwritten, "/somewhere", errors=errors, orphans=7)
    assert str(result) == (
        "5 accepted, journal in /somewhere\n"
        "  a  1 delivered, 2 waiting, 2 refused (2 × disk); last error: connection refused\n"
        "  and 7 delivered for processes before this one"
    )
    assert repr(result) == "<Account: 5 accepted, 2 waiting, 2 refused>"
    assert result.as_dict()["outlets"] == {"a": {"delivered": 1, "waiting": 2, "refused": {"disk": 2}}}


class Unreadable:
    """A segment whose file cannot be read."""

    def refresh(self) -> None:
        """Raise the error of a broken disk."""
        raise OSError(errno.EIO, "Input/output error")


def test_unreadable_segment_is_reported() -> None:
    """A segment that cannot be read is reported for each outlet, even if its last export failed too."""
    segment: Any = Unreadable()
    result = account.tally([segment], {"a": bool, "b": bool}, Counter(), "", errors={"b": "timeout"})
    counts = "0 delivered, 0 waiting, 0 refused"
    error = "last error: the journal cannot be read: Input/output error"
    assert str(result) == f"0 accepted\n  a  {counts}; {error}\n  b  {counts}; {error}"


def test_feedback_is_no_part_of_the_sum() -> None:
    """Records that amllog has caused are shown below the outlets, and change no other number."""
    counted = account.Account(2, {"a": account.OutletAccount(2, 0, {})}).with_feedback({"a handler logs": 12})
    assert (counted.accepted, counted.refused, counted.waiting) == (2, 0, 0)
    assert counted.as_dict()["feedback"] == {"a handler logs": 12}
    assert str(counted).splitlines()[-1] == "  not recorded: 12 × a handler logs"
