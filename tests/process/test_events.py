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


RECIPES = {
    "chain a callable": (
        "before = signal.getsignal(signal.SIGTERM)\n"
        "def handle(number, frame):\n"
        "    print('checkpoint', flush=True)\n"
        "    if callable(before): before(number, frame)\n"
        "signal.signal(signal.SIGTERM, handle)"
    ),
    "chain what signal.signal returns": (
        "def handle(number, frame):\n"
        "    print('checkpoint', flush=True)\n"
        "    if before not in (signal.SIG_DFL, signal.SIG_IGN, None): before(number, frame)\n"
        "before = signal.signal(signal.SIGTERM, handle)"
    ),
    "the default again, and the signal again": (
        "def handle(number, frame):\n"
        "    print('checkpoint', flush=True)\n"
        "    signal.signal(number, before)\n"
        "    os.kill(os.getpid(), number)\n"
        "before = signal.signal(signal.SIGTERM, handle)"
    ),
    "install only over the default": (
        "if signal.getsignal(signal.SIGTERM) in (signal.SIG_DFL, None):\n"
        "    signal.signal(signal.SIGTERM, lambda *_: print('checkpoint', flush=True))"
    ),
    "compare and print": (
        "now = signal.getsignal(signal.SIGTERM)\n"
        "print(now == signal.SIG_DFL, now is signal.SIG_DFL, callable(now), repr(now), int(now), flush=True)\n"
        "sys.exit()"
    ),
}


@pytest.mark.parametrize("recipe", RECIPES)
def test_other_programs_see_the_default(child: Any, recipe: str) -> None:
    """A program that decides by the present handler does the same as without amllog."""
    end = "\nos.kill(os.getpid(), signal.SIGTERM)\nprint('goes on', flush=True)\nos._exit(5)"
    plain = child("import os, signal, sys\n" + RECIPES[recipe] + end)
    ran = child(WATCH + RECIPES[recipe] + end)
    ours = [line for line in ran.stdout.splitlines() if line != "exit True"]
    assert (ran.returncode, ours) == (plain.returncode, plain.stdout.splitlines()), ran.stderr


REWATCH = """
seen = signal.signal(signal.SIGTERM, lambda *_: None)
signal.signal(signal.SIGTERM, seen)
threading.Thread(target=lambda: print(events.rewatch_sigterm(), flush=True)).start()
print(events.rewatch_sigterm(), flush=True)
os.kill(os.getpid(), signal.SIGTERM)
"""


def test_the_handler_is_installed_again(child: Any) -> None:
    """After a program has restored the default, the next check of the main thread installs the handler again."""
    ran = child(WATCH + REWATCH)
    assert ran.returncode == -signal.SIGTERM
    assert sorted(ran.stdout.splitlines()) == ["0.1", "1.0", "term True"]


@pytest.mark.parametrize(
    "code", ["events.unwatch_sigterm()", "signal.signal(signal.SIGTERM, signal.SIG_IGN)"]
)
def test_the_handler_is_not_installed_again(child: Any, code: str) -> None:
    """It stays away after unwatch_sigterm(), and while the script handles or ignores the signal."""
    ran = child(
        f"{WATCH}{code}\nevents.rewatch_sigterm()\nimport _signal\nprint(type(_signal.getsignal(15)).__name__)"
    )
    assert sorted(ran.stdout.splitlines()) == ["exit True", "int"], ran.stderr


def test_a_handler_in_c_stays(child: Any) -> None:
    """A handler of a C library, which Python does not know, stays."""
    code = "import faulthandler\nfaulthandler.register(15, chain=False, file=open('stacks', 'w'))\n" + WATCH
    ran = child(code + "os.kill(os.getpid(), signal.SIGTERM); print('goes on', flush=True)")
    assert (ran.returncode, ran.stdout.splitlines()) == (0, ["goes on", "exit True"]), ran.stderr


def test_a_chained_handler_does_nothing(child: Any) -> None:
    """A program that gets our handler from the C module and calls it in its own one decides what happens."""
    code = """
import _signal
before = _signal.getsignal(signal.SIGTERM)
signal.signal(signal.SIGTERM, lambda *args: before(*args))
os.kill(os.getpid(), signal.SIGTERM)
print("goes on", flush=True)
"""
    assert child(WATCH + code).stdout.splitlines() == ["goes on", "exit True"]


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
