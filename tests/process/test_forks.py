"""Fork hooks: the exception of a signal handler in a hook reaches the script, and the hook completes its work."""

from __future__ import annotations

import os
from typing import Any

import pytest

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs forks")

HOOKS = """
import gc, os, signal, sys, time
from amllog.process.forks import ForkHooks, Forks

class Stop(Exception): pass
calls = []
where, remaining = "", 0

def stop(number, frame):
    raise Stop

def interrupting(name):
    def call():
        calls.append(name)
        if name == where and calls.count(name) == 1:
            signal.raise_signal(signal.SIGALRM)
    return call

signal.signal(signal.SIGALRM, stop)
ForkHooks(Forks(*(interrupting(name) for name in ("before", "in_parent", "in_child")))).register()

def wait(expected):
    # The exception arrives soon, but not after a fixed number of instructions. It does not end sleep(), so this loops.
    until = time.monotonic() + 60
    while expected() and time.monotonic() < until: pass

def blocked():
    return signal.pthread_sigmask(signal.SIG_BLOCK, ())
"""

EACH_HOOK = (
    HOOKS
    + """
for where in ("before", "in_parent"):
    calls.clear()
    try:
        if os.fork() == 0:
            os._exit(0)
        wait(lambda: True)
        print("lost")
    except Stop:
        os.wait()
        print(where, calls, blocked(), signal.getsignal(signal.SIGINT) is signal.default_int_handler)
"""
)

IN_THE_CHILD = (
    HOOKS
    + """
where = "in_child"
try:
    if os.fork() == 0:
        wait(lambda: True)
        os._exit(7)
except Stop:
    os._exit(0 if not blocked() and calls.count("in_child") >= 1 else 8)
print(os.waitpid(-1, 0)[1])
"""
)

EACH_LINE = (
    HOOKS
    + """
def trace(frame, event, argument):
    global remaining
    if frame.f_globals.get("__name__") != "amllog.process.forks" or os.getpid() != parent:
        return None  # in a child, Python also ends the generators of other threads, and prints their exceptions
    if event == "line":
        remaining -= 1
        if remaining == 0:
            raise Stop
    return trace

gc.disable()  # a collection ends generators of former hooks, and Python discards an exception at one of their lines
points, lost, parent = 0, [], os.getpid()
while remaining <= 0:
    points += 1
    remaining, stopped = points, False
    calls.clear()
    sys.settrace(trace)
    try:
        if os.fork() == 0:
            os._exit(0)
        sys.settrace(None)
        wait(lambda: remaining <= 0)  # otherwise no line has raised
    except Stop:  # also in the child, which inherits the trace function
        if os.getpid() != parent:
            os._exit(0)
        stopped = True
    sys.settrace(None)
    if not stopped and remaining <= 0 or blocked() or not {"before", "in_parent"} <= set(calls):
        lost.append((points, stopped, remaining, blocked(), list(calls)))
    os.waitpid(-1, 0)
print(points > 20, lost)
"""
)

ENDED = (
    HOOKS
    + """
lines = []
def trace(frame, event, argument):
    if frame.f_code.co_name != "_run":
        return None
    if event == "line":
        lines.append(frame.f_lineno)
        if len(lines) == remaining:
            signal.raise_signal(signal.SIGALRM)
    return trace

remaining, results = 0, []
while remaining <= len(lines):
    remaining += 1
    hooks = ForkHooks(Forks(*[interrupting("called")] * 3))
    suspended = [hooks._suspended(hooks._before)]
    lines.clear()
    try:
        sys.settrace(trace)
        suspended.clear()
        sys.settrace(None)
        if remaining <= len(lines):
            wait(lambda: True)
        results.append("no signal")
    except Stop:
        sys.settrace(None)
        results.append("raised")
print(len(results) > 1, {*results[:-1]}, results[-1], calls, blocked())
"""
)


def test_each_hook(child: Any) -> None:
    """The exception of a signal in a hook is raised after the fork, the hook is repeated, and no signal is blocked."""
    ran = child(EACH_HOOK)
    expected = [
        "before ['before', 'in_parent'] set() True",
        "in_parent ['before', 'in_parent', 'in_parent'] set() True",
    ]
    assert (ran.stdout.splitlines(), ran.stderr) == (expected, "")


def test_in_the_child(child: Any) -> None:
    """The exception of a signal in the hook of a child is raised in the child after the fork."""
    ran = child(IN_THE_CHILD)
    assert (ran.stdout, ran.stderr) == ("0\n", "")


def test_each_line_of_the_hooks(child: Any) -> None:
    """The exception of a signal at any line of the hooks reaches the script, and the hooks complete."""
    ran = child(EACH_LINE)
    assert (ran.stdout, ran.stderr) == ("True []\n", "")


def test_the_hooks_of_an_ended_thread(child: Any) -> None:
    """The exception of a signal while Python ends hooks that were not used is raised, and the hooks do no work."""
    ran = child(ENDED)
    assert (ran.stdout, ran.stderr) == ("True {'raised'} no signal [] set()\n", "")
