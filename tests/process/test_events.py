"""Callbacks at the exit of the process, at SIGTERM and around a fork."""

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
def write(event):
    return lambda: os.write(1, f"{event} {os.getpid() == first}\\n".encode())
first = os.getpid()
events = ProcessEvents(write("exit"), write("term"))
ForkHooks(Forks(write("before"), write("parent"), lambda: (write("child")(), events.forked()))).register()
events.watch_sigterm()
"""


@pytest.mark.parametrize(
    ("end", "returncode", "calls"),
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
def test_each_callback_is_called_once(child: Any, end: str, returncode: int, calls: list[str]) -> None:
    """Each event calls back once, and the exit code is the same as without callbacks."""
    ran = child(WATCH + end)
    # Sorted, because parent and child run at the same time.
    assert (ran.returncode, sorted(ran.stdout.split("\n")[:-1])) == (returncode, sorted(calls)), ran.stderr


def test_sigterm_handler_of_the_script_stays(child: Any) -> None:
    """A handler that the script sets before or after ours stays."""
    handler = "signal.signal(signal.SIGTERM, lambda *_: sys.exit(5))\n"
    for code in (
        "import signal, sys\n" + handler + WATCH,
        WATCH + handler,
        WATCH + handler + "events.unwatch_sigterm()\n",
    ):
        ran = child(code + "os.kill(os.getpid(), signal.SIGTERM)\n")
        assert (ran.returncode, ran.stdout) == (5, "exit True\n")


def test_ignored_sigterm(child: Any) -> None:
    """A script that ignores SIGTERM still ignores it."""
    code = "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + WATCH
    ran = child(code + "os.kill(os.getpid(), signal.SIGTERM); print('alive')")
    assert (ran.returncode, "alive" in ran.stdout) == (0, True)


def test_setup_in_a_thread() -> None:
    """setup() in a thread works without a signal handler, which Python allows in the main thread only."""
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


def test_fork_during_a_background_call(child: Any) -> None:
    """In a forked child, a background call of the parent is over, so that the child may call again."""
    code = """
import os, threading
from amllog.process.background import BackgroundCall
may_end = threading.Event()
call = BackgroundCall(may_end.wait)
print(call.over, flush=True)
if os.fork() == 0:
    print(call.over, flush=True)
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
    """In a sub-interpreter, amllog can be imported, and setup() raises an error with the reason."""
    ran = child(SUB_INTERPRETER)
    assert (
        ran.stdout == "AmllogError amllog works in the main interpreter only, and this is a sub-interpreter\n"
    )
