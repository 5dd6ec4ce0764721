"""accepted = delivered + waiting + refused, per outlet, at any moment."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st

from amllog.delivery import account
from amllog.delivery.exporter import DELIVERED, Consumer, ExportResult, refused, waiting
from amllog.journal.segment import Segment
from amllog.journal.writer import Journal

VERDICTS = {"d": DELIVERED, "w": waiting("later"), "r": refused("bad")}


class Scripted:
    """An outlet that answers as it is told, and remembers what it was offered."""

    name, max_records, max_bytes = "scripted", 7, 500

    def __init__(self, script: list[str]) -> None:
        self.script, self.taken, self.offered = script, [], 0  # type: ignore[var-annotated]  # of lines

    def concerns(self, segment: Segment) -> bool:
        return True

    def wants(self, line: bytes) -> bool:
        return b"no" not in line

    counts = wants

    def export(self, lines: list[bytes], seconds: float) -> ExportResult:
        assert 0 < len(lines) <= 7
        verdicts = [VERDICTS[self.script.pop(0)] if self.script else DELIVERED for _ in lines]
        self.taken += [line for line, verdict in zip(lines, verdicts) if verdict is DELIVERED]
        self.offered += 1
        return ExportResult(exceptions=dict(enumerate(verdicts)))

    def close(self) -> None:
        """Nothing."""


@settings(deadline=None, max_examples=80)
@given(st.lists(st.sampled_from("dwr"), max_size=60), st.lists(st.booleans(), max_size=40))
def test_sum(tmp_path_factory: pytest.TempPathFactory, script: list[str], wanted: list[bool]) -> None:
    """Whatever an outlet answers, the sum holds after each offer; in the end nothing waits and nothing came twice."""
    journal = Journal(tmp_path_factory.mktemp("j"), max_bytes=1024**2, node="n")
    outlet = Scripted(script)
    consumer = Consumer(outlet)
    for number, want in enumerate(wanted):
        journal.append(b'{"time":"%s%d"}\n' % (b"" if want else b"no ", number))
    ours = sum(wanted)
    for _ in range(300):
        consumer.due = 0.0
        consumer.step(journal.segments, 1)
        found = account.tally(journal.segments, {"scripted": outlet.wants}, Counter(), "")
        one = found.outlets["scripted"]
        assert one.accepted == ours == one.delivered + one.waiting + sum(one.refused.values())
        assert one.delivered == len(outlet.taken)
        if not one.waiting:
            break
    assert one.waiting == 0 and len(set(outlet.taken)) == len(outlet.taken)
    assert found.accepted == len(wanted)
    journal.close()


def test_says(tmp_path: Path) -> None:
    """An account reads like a sentence, with each reason, and the trouble while something waits."""
    journal = Journal(tmp_path / "j", max_bytes=1024**2, node="n")
    for number in range(3):
        journal.append(b'{"time":"%d"}\n' % number)
    journal.segments[0].acknowledge("a", 13, 1, Counter(), [], passed=1)
    found = account.tally(journal.segments, {"a": lambda line: True}, Counter({"disk": 2}), "/somewhere")
    found.outlets["a"].trouble = "connection refused"
    assert str(found) == (
        "5 accepted, journal in /somewhere\n"
        "  a  1 delivered, 2 waiting, 2 refused (2 × disk); last trouble: connection refused"
    )
    assert repr(found) == "<Account: 5 accepted, 2 waiting, 2 refused>"
    assert found.as_dict()["outlets"] == {"a": {"delivered": 1, "waiting": 2, "refused": {"disk": 2}}}
