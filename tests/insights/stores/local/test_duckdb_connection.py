"""Interruptions of a statement of DuckDB."""

from __future__ import annotations

import signal
from typing import Any

import pytest

INTERRUPTED = """
import random, signal
from amllog.insights.stores.local.duckdb_engine import Engine
class Stop(Exception): pass
fired = reached = 0

def stop(number, frame):
    global fired
    fired += 1
    raise Stop

def work(before):
    while fired == before:
        Engine().run_kql("print 1", "SELECT 1")

signal.signal(signal.SIGALRM, stop)
random.seed(1)
Engine().run_kql("print 1", "SELECT 1")
for _ in range(60):
    before = fired
    try:
        signal.setitimer(signal.ITIMER_REAL, random.random() * 0.05 + 1e-5)
        work(before)
    except Stop:
        reached += 1
print(fired, reached)
"""


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs signals")
def test_the_exception_of_a_signal_handler_reaches_the_caller(child: Any) -> None:
    """A signal at any moment of a query or of the creation of its database raises in the caller."""
    pytest.importorskip("duckdb")
    assert child(INTERRUPTED).stdout == "60 60\n"
