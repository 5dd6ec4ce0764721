"""The journal and the courier of a process together, asked by several threads."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path

from amllog.account import Account
from amllog.delivery import Answer, waiting
from amllog.post import Post
from amllog.segment import Segment


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
        return self.may_answer.wait(30)

    def offer(self, lines: Sequence[bytes], seconds: float) -> Answer:
        return Answer(waiting("no"))

    def close(self) -> None:
        """Nothing."""


def test_other_outlets_while_somebody_counts(tmp_path: Path) -> None:
    """The account that a thread asks for is of the outlets there were, if setup() changes them meanwhile."""
    post, one, other = Post(lambda message, level: None), Slow("one"), Slow("other")
    post.open(tmp_path, "n", 1024**2)
    post.serve([one])
    post.append(b'{"time":"1"}\n')
    found: list[Account] = []
    thread = threading.Thread(target=lambda: found.append(post.status()))
    thread.start()
    assert one.asked.wait(30)
    post.serve([other])
    one.may_answer.set()
    thread.join()
    other.may_answer.set()
    post.close(0.0)
    assert [list(account.outlets) for account in found] == [["one"]]
