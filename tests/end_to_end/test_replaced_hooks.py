"""Hooks that a program replaces after setup(), chains or restores: each exception is one record, and the step fails."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from .conftest import QUIET  # isort: skip

SETUP = "import sys, threading, warnings\nimport amllog\namllog.setup()\n"
REPLACED = {
    "replaced": "sys.excepthook = lambda *args: print('shown')",
    "restored to the default": "sys.excepthook = sys.__excepthook__",
    "chained": "before = sys.excepthook\nsys.excepthook = lambda *args: before(*args)",
    "chained, and a second setup()": (
        "before = sys.excepthook\nsys.excepthook = lambda *args: before(*args)\namllog.setup()"
    ),
    "chained with a copy of the exception, and a second setup()": (
        "before = sys.excepthook\nsys.excepthook = lambda kind, error, trace: before(kind, kind(*error.args), trace)\n"
        "amllog.setup()"
    ),
    "written to the dictionary": "vars(sys)['excepthook'] = lambda *args: None",
    "None": "sys.excepthook = None",
    "deleted": "del sys.excepthook",
    "that raises": "sys.excepthook = lambda *args: 1 // 0",
    "that exits": "sys.excepthook = lambda *args: sys.exit(7)",
}


@pytest.mark.parametrize("hook", REPLACED)
def test_main_thread(child: Any, journaled: Any, hook: str) -> None:
    """An exception of the main thread is recorded once and fails the step, whatever the excepthook is."""
    plain = child(f"import sys\n{REPLACED[hook]}\nraise ValueError('boom')".replace("amllog.setup()", ""))
    ran = child(f"{SETUP}{REPLACED[hook]}\nraise ValueError('boom')", env=QUIET)
    records = journaled()
    assert [data["exceptions"][0]["typeName"] for data in records.of_type("Exception")] == ["ValueError"]
    assert [data["responseCode"] for data in records.of_type("Request")] == ["uncaught exception"]
    assert (ran.returncode, ran.stdout) == (plain.returncode, plain.stdout)
    assert ran.stderr.count("boom") == plain.stderr.count("boom")


def test_a_hook_that_ends_the_process(child: Any, journaled: Any) -> None:
    """The exception is recorded before the hook of the program is called."""
    child(f"{SETUP}import os\nsys.excepthook = lambda *args: os._exit(7)\n1 / 0", env=QUIET)
    assert len(journaled().of_type("Exception")) == 1


OTHERS = """
import _thread
seen = []
class Failing:
    def __del__(self): raise ValueError("ignored")
threading.excepthook = lambda args: seen.append("thread")
sys.unraisablehook = lambda args: seen.append("unraisable")
warnings.showwarning = lambda *args: seen.append("warning")
warnings.simplefilter("always")
def fail(): raise ValueError("threaded")
AGAIN
thread = threading.Thread(target=fail, name="T"); thread.start(); thread.join()
Failing()
warnings.warn("warned")
done = _thread.allocate_lock(); done.acquire()
class Released:
    def __del__(self): done.release()
def low(released): raise ValueError("low")
_thread.start_new_thread(low, (Released(),)); done.acquire()
END
print(*sorted(seen))
"""
MESSAGES = [
    "Exception ignored in thread started by: low: low",
    "Exception ignored in: Failing.__del__: ignored",
    "UserWarning: warned",
    "Uncaught exception in thread T: threaded",
]


@pytest.mark.parametrize("again", ["", "amllog.setup()"])
def test_threads_and_warnings(child: Any, journaled: Any, again: str) -> None:
    """Exceptions of threads, ignored exceptions and warnings are recorded once below replaced hooks."""
    end = "while len(seen) < 4: threading.Event().wait(0.01)"
    ran = child(SETUP + OTHERS.replace("AGAIN", again).replace("END", end), env=QUIET)
    assert ran.stdout == "thread unraisable unraisable warning\n", ran.stderr
    records = journaled()
    said = [data["exceptions"][0]["message"] for data in records.of_type("Exception")] + records.messages
    if sys.version_info >= (3, 14):  # Python's own words for the same
        said = [message.replace("while calling deallocator", "in") for message in said]
    assert sorted(said) == sorted(MESSAGES)
    assert [data["success"] for data in records.of_type("Request")] == [True]


CHAINED = """
main, sys.excepthook = sys.excepthook, lambda *args: main(*args)
thread, threading.excepthook = threading.excepthook, lambda args: thread(args)
warn, warnings.showwarning = warnings.showwarning, lambda *args: warn(*args)
amllog.shutdown()
warnings.warn("warned")
failing = threading.Thread(target=exec, args=("1 / 0",)); failing.start(); failing.join()
1 / 0
"""


def test_after_shutdown(child: Any, journaled: Any) -> None:
    """Hooks that still chain what they found record nothing after shutdown()."""
    ran = child(SETUP + CHAINED, env=QUIET)
    records = journaled()
    assert (records.of_type("Exception"), records.messages) == ([], [])
    assert ran.stderr.count("ZeroDivisionError") == 2 and "warned" in ran.stderr


COLLECTED = """
import logging
with warnings.catch_warnings(record=True) as collected:
    warnings.simplefilter("always")
    warnings.warn("collected")
with open("file", "w") as file:
    warnings.showwarning("to a file", UserWarning, "f", 1, file)
print(len(collected))
logging.captureWarnings(True)
warnings.warn("captured")
logging.captureWarnings(False)
warnings.warn("after")
with warnings.catch_warnings():
    warnings.simplefilter("always")
    warnings.warn("in a block")
warnings.warn("with its source", source=object())
"""


def test_warnings_that_others_take(child: Any, journaled: Any) -> None:
    """Collected warnings are not records, and those that logging captures are recorded once."""
    ran = child(SETUP + COLLECTED, env=QUIET)
    assert ran.stdout == "1\n"
    assert [message.split(": ")[-1].split("\n")[0] for message in journaled().messages] == [
        "captured", "after", "in a block", "with its source",
    ]  # fmt: skip


SEEN = """
import code, inspect, pickle, sys, threading, types, warnings
print(sys.excepthook is sys.__excepthook__, threading.excepthook is threading.__excepthook__)
print(sys.unraisablehook is sys.__unraisablehook__, warnings.showwarning is warnings._showwarning_orig)
print(inspect.signature(sys.exit), pickle.loads(pickle.dumps(sys.exit)) is sys.exit, repr(sys), repr(type(sys)))
print(isinstance(types, type(sys)), type(sys) == types.ModuleType, isinstance(sys, types.ModuleType))
try: sys.exit(1, 2)
except TypeError as error: print(error)
try: sys.nothing
except AttributeError as error: print(error)
code.InteractiveConsole().runsource("1 / 0")
warnings.warn("warned", source=object())
"""


@pytest.mark.skipif(sys.version_info < (3, 10), reason="threading.__excepthook__ came with 3.10")
def test_what_others_see(child: Any, tmp_path: Path) -> None:
    """A script sees the same hooks with and without amllog, and Python prints the same."""
    script = tmp_path / "train.py"
    script.write_text(SEEN)
    plain = child(script)
    script.write_text("import amllog; amllog.setup()" + SEEN)
    ran = child(script, env=QUIET)
    assert (ran.returncode, ran.stdout, ran.stderr) == (plain.returncode, plain.stdout, plain.stderr)


def test_an_exception_that_c_code_prints(child: Any, journaled: Any) -> None:
    """A callback whose exception C code prints (Qt) is recorded. The script goes on, so the step does not fail."""
    code = """
def callback():
    try: 1 / 0
    except ZeroDivisionError:
        vars(sys)["excepthook"](*sys.exc_info())  # as PyErr_Print
callback()
"""
    child(SETUP + code, env=QUIET)
    records = journaled()
    assert len(records.of_type("Exception")) == 1
    assert [data["success"] for data in records.of_type("Request")] == [True]
