"""What happens to the process, told once to who asked: its end, SIGTERM, a fork."""

from __future__ import annotations

import signal
import threading
from typing import Any

import pytest

import amllog

WATCH = """
import os, signal, sys, threading
from amllog.process.forks import ForkHooks, Forks
from amllog.process.events import ProcessEvents
def say(what):
    return lambda: os.write(1, f"{what} {os.getpid() == first}\\n".encode())
first = os.getpid()
events = ProcessEvents(say("exit"), say("term"))
ForkHooks(Forks(say("before"), say("parent"), lambda: (say("child")(), events.forked()))).register()
events.watch_sigterm()
"""


@pytest.mark.parametrize(
    ("end", "returncode", "said"),
    [
        ("", 0, ["exit True"]),
        ("sys.exit(3)", 3, ["exit True"]),
        ("1 / 0", 1, ["exit True"]),
        ("os._exit(4)", 4, []),
        ("os.kill(os.getpid(), signal.SIGTERM)", -signal.SIGTERM, ["term True"]),
        (
            "if os.fork(): os.wait()\nelse: os._exit(0)",
            0,
            ["before True", "child False", "parent True", "exit True"],
        ),
        ("events.unwatch_sigterm()\nos.kill(os.getpid(), signal.SIGTERM)", -signal.SIGTERM, []),
    ],
)
def test_told_once(child: Any, end: str, returncode: int, said: list[str]) -> None:
    """Each end is told as it happened, once, and the exit code is what it would have been."""
    ran = child(WATCH + end)
    # Sorted: parent and child go on at the same time.
    assert (ran.returncode, sorted(ran.stdout.split("\n")[:-1])) == (returncode, sorted(said)), ran.stderr


def test_sigterm_of_others(child: Any) -> None:
    """A handler of the script's own, before ours or after, stays."""
    own = "signal.signal(signal.SIGTERM, lambda *_: sys.exit(5))\n"
    for code in (
        "import signal, sys\n" + own + WATCH,
        WATCH + own,
        WATCH + own + "events.unwatch_sigterm()\n",
    ):
        ran = child(code + "os.kill(os.getpid(), signal.SIGTERM)\n")
        assert (ran.returncode, ran.stdout) == (5, "exit True\n")


def test_ignored_sigterm(child: Any) -> None:
    """Who ignores SIGTERM goes on ignoring it."""
    code = "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + WATCH
    ran = child(code + "os.kill(os.getpid(), signal.SIGTERM); print('alive')")
    assert (ran.returncode, "alive" in ran.stdout) == (0, True)


def test_setup_in_a_thread() -> None:
    """setup() in a thread, where Python allows no signal handler, works without one."""
    before = signal.getsignal(signal.SIGTERM)
    failed: list[BaseException] = []

    def work() -> None:
        try:
            amllog.setup().info("m")
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert failed == [] and signal.getsignal(signal.SIGTERM) is before
    assert amllog.status().accepted == 1


def test_fork_during_an_attempt(child: Any) -> None:
    """In a forked child, what its parent's thread still works at is over: the child may try by itself."""
    code = """
import os, threading
from amllog.process.background import BackgroundCall
may_end = threading.Event()
attempt = BackgroundCall(may_end.wait)
print(attempt.over, flush=True)
if os.fork() == 0:
    print(attempt.over, flush=True)
    os._exit(0)
os.wait()
may_end.set()
"""
    assert child(code, flags=["-W", "ignore"]).stdout == "False\nTrue\n"


SUB_INTERPRETER = """
try:
    import _interpreters as interpreters
except ImportError:
    import _xxsubinterpreters as interpreters
code = "import amllog\\ntry: amllog.setup()\\nexcept Exception as error: print(type(error).__name__, error, flush=True)"
interpreters.run_string(interpreters.create(), code)
"""


def test_sub_interpreter(child: Any) -> None:
    """In a sub-interpreter, amllog can be imported, and its use raises an error that says so."""
    ran = child(SUB_INTERPRETER)
    assert (
        ran.stdout == "AmllogError amllog works in the main interpreter only, and this is a sub-interpreter\n"
    )
