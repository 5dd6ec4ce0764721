"""Blocks that set context variables: undone wherever a signal handler raises, and however they are used."""

from __future__ import annotations

import contextlib
import contextvars
import signal
from typing import Any

import pytest

from amllog.context import current
from amllog.context.current import bound, dimensions

STORM = """
import contextlib, random, signal
import amllog
from amllog.context import current as context

class Stop(Exception): pass

fired = reached = while_handled = afterwards = 0

def stop(number, frame):
    global fired
    fired += 1
    raise Stop

def is_clean():
    return not (context.dimensions() or context.span_id() or context.operation_id())

def nested():
    with amllog.bound(a=1), context.remote_parent("o", "p"), log.span("s"):
        pass

@amllog.bound(a=1)
def decorated():
    with amllog.bound(b=1):
        pass

def repeat(work, before):
    while fired == before:
        work()

log = amllog.setup()
random.seed(1)
signal.signal(signal.SIGALRM, stop)
for number in range(2_000):
    try:
        signal.setitimer(signal.ITIMER_REAL, random.uniform(1e-5, 2e-4))
        repeat((nested, decorated)[number % 2], fired)
    except Stop as error:
        reached += 1
        while_handled += not is_clean()
    afterwards += not is_clean()
print(fired, reached, while_handled, afterwards)
"""


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs signals")
def test_no_signal_leaves_a_context_changed(child: Any) -> None:
    """Exceptions of a signal handler at 2,000 moments of blocks and decorated functions: the context is as before."""
    ran = child(STORM, env={"AMLLOG_EXPORTER": "none", "AMLLOG_DRIVER_LEVEL": "CRITICAL"})
    assert (ran.returncode, ran.stdout) == (0, "2000 2000 0 0\n"), ran.stderr


def test_in_an_exit_stack() -> None:
    """`ExitStack` gets the methods from the class: it enters and leaves blocks as `with` does."""
    with pytest.raises(KeyError) as raised:
        _fail_in_an_exit_stack()
    assert (dict(dimensions()), current.span_id(), current.operation_id()) == ({}, "", "")
    assert current.context_of_error(raised.value) == ({"a": 1}, "s")


def _fail_in_an_exit_stack() -> None:
    with contextlib.ExitStack() as stack:
        stack.enter_context(bound(a=1))
        stack.enter_context(current.remote_parent("o", "s"))
        assert (dict(dimensions()), current.span_id(), current.operation_id()) == ({"a": 1}, "s", "o")
        raise KeyError


def test_several_times() -> None:
    """One block can be used again, also inside itself."""
    block = bound(a=1)
    for _ in range(2):
        with block, bound(b=2), block:
            assert dict(dimensions()) == {"a": 1, "b": 2}
        assert dict(dimensions()) == {}


def test_dropped_without_an_exit() -> None:
    """A block that is dropped undoes its change; within a later block it changes nothing any more."""
    block = bound(a=1)
    block.__enter__()
    assert dict(dimensions()) == {"a": 1}
    del block
    assert dict(dimensions()) == {}
    contextvars.copy_context().run(_dropped_within_a_later_block)


def _dropped_within_a_later_block() -> None:
    block = bound(a=1)
    block.__enter__()
    with bound(b=2):
        del block
        assert dict(dimensions()) == {"a": 1, "b": 2}


def test_an_outer_block_restores_what_an_inner_one_left() -> None:
    """The end of a block restores what stood before it, whatever a block inside has left."""
    inner = bound(b=2)
    with bound(a=1):
        inner.__enter__()
        assert dict(dimensions()) == {"a": 1, "b": 2}
    assert dict(dimensions()) == {}
