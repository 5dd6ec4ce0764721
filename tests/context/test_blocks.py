"""Blocks reset context variables wherever a signal handler raises, and however the blocks are used."""

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
from amllog.context import current

class Stop(Exception): pass

fired = reached = while_handled = afterwards = 0

def stop(number, frame):
    global fired
    fired += 1
    raise Stop

def is_clean():
    return not (current.dimensions() or current.span_id() or current.operation_id())

def nested():
    with amllog.bound(a=1), current.remote_parent("o", "p"), log.span("s"):
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
def test_no_signal_handler_leaves_a_changed_context(child: Any) -> None:
    """After exceptions of a signal handler at 2,000 moments of blocks and decorated functions, the context is empty."""
    ran = child(STORM, env={"AMLLOG_EXPORTER": "none", "AMLLOG_DRIVER_LEVEL": "CRITICAL"})
    assert (ran.returncode, ran.stdout) == (0, "2000 2000 0 0\n"), ran.stderr


def test_blocks_work_in_an_exit_stack() -> None:
    """`ExitStack` gets the methods from the class, and enters and exits blocks as `with` does."""
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


def test_block_can_be_used_several_times() -> None:
    """One block can be entered again, and also inside itself."""
    block = bound(a=1)
    for _ in range(2):
        with block, bound(b=2), block:
            assert dict(dimensions()) == {"a": 1, "b": 2}
        assert dict(dimensions()) == {}


def test_dropped_block_resets_its_change() -> None:
    """A dropped block resets its change, except within a later block, where it changes nothing."""
    block = bound(a=1)
    block.__enter__()
    assert dict(dimensions()) == {"a": 1}
    del block
    assert dict(dimensions()) == {}
    contextvars.copy_context().run(_drop_within_a_later_block)


def _drop_within_a_later_block() -> None:
    block = bound(a=1)
    block.__enter__()
    with bound(b=2):
        del block
        assert dict(dimensions()) == {"a": 1, "b": 2}


def test_outer_block_resets_an_unfinished_inner_block() -> None:
    """The end of a block restores the context before it, even if a block inside was never exited."""
    inner = bound(b=2)
    with bound(a=1):
        inner.__enter__()
        assert dict(dimensions()) == {"a": 1, "b": 2}
    assert dict(dimensions()) == {}


def test_exit_may_be_looked_up_before_enter() -> None:
    """A block that is used twice resets its change, also if `with` gets `__exit__` first, as since Python 3.14."""
    block = bound(a=1)
    for _ in range(2):
        leave, enter = block.__exit__, block.__enter__
        enter()
        assert dict(dimensions()) == {"a": 1}
        leave(None, None, None)
        assert dict(dimensions()) == {}
