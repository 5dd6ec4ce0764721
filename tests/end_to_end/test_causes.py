"""The exception behind an exit code is a record: once, and only if it led to the exit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from .conftest import QUIET  # isort: skip

SETUP = "import logging, os, sys\nimport amllog\nlog = amllog.setup()\n"
FAIL = "try: int('x')\nexcept ValueError as error:\n    "
CAUSES = {
    "except": (FAIL + "print(error); sys.exit(1)", "exit code 1", 1),
    "a message": (FAIL + "sys.exit(f'failed: {error}')", "exit code 1", 1),
    "the exception itself": (FAIL + "failed = error\nsys.exit(failed)", "exit code 1", 1),
    "quit": (FAIL + "quit(2)", "exit code 2", 1),
    "finally": ("try: int('x')\nfinally: sys.exit(4)", "exit code 4", 1),
    "logged before": (FAIL + "logging.exception('failed')\n    sys.exit(1)", "exit code 1", 1),
    "logged by ours before": (FAIL + "log.error('failed', exc_info=error)\n    sys.exit(1)", "exit code 1", 1),
    "a method that shows it": (  # as click 8.5
        ("class Failed(Exception):\n    def show(self): print(self)\n"
        "def main():\n    try: raise Failed('no data')\n    except Failed as error: show = error.show\n"
        "    show()\n    sys.exit(1)\nmain()"),
        "exit code 1",
        1,
    ),
    "code 0": (FAIL + "sys.exit(0)", "0", 0),
    "caught exit": ("try:\n    try: int('x')\n    except ValueError: sys.exit(1)\nexcept SystemExit: pass", "0", 0),
    "handled before": (FAIL + "pass\nsys.exit(2)", "exit code 2", 0),
    "interrupted": ("try: raise KeyboardInterrupt\nexcept KeyboardInterrupt: sys.exit(130)", "exit code 130", 0),
    "a thread": (
        ("import threading\ndef work():\n    try: int('x')\n    except ValueError: sys.exit(1)\n"
        "thread = threading.Thread(target=work); thread.start(); thread.join()"),
        "0",
        0,
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CAUSES)
def test_exit(child: Any, journaled: Any, case: str) -> None:
    """An exit in an `except` or `finally` records the exception once, with the exit code as the result."""
    code, result, count = CAUSES[case]
    plain = child(SETUP.replace("amllog.setup()", "logging") + code.replace("log.error", "logging.error"))
    ran = child(SETUP + code, env=QUIET)
    records = journaled()
    assert [data["responseCode"] for data in records.of_type("Request")] == [result], ran.stderr
    assert len(records.of_type("Exception")) == count
    assert ran.returncode == plain.returncode


@pytest.mark.parametrize(
    ("end", "messages"),
    [
        ("sys.exit('no rows in x.csv')", ["Exit code 1: no rows in x.csv"]),
        ("exit('no rows')", ["Exit code 1: no rows"]),
        ("try: sys.exit('no rows')\nexcept SystemExit: pass", []),
        ("try: sys.exit('no rows')\nexcept SystemExit: sys.exit(2)", []),
        (
            "import argparse; argparse.ArgumentParser('x').error('no --data')",
            ["Exit code 2: x: error: no --data"],
        ),
        ("sys.exit(' ')", []),
    ],
)
def test_the_message_of_an_exit(child: Any, journaled: Any, end: str, messages: list[str]) -> None:
    """A message that a script exits with is the cause of the exit, with its line."""
    child(SETUP + end, env=QUIET)
    records = journaled()
    assert records.messages == messages
    for data in records.of_type("Message"):
        properties = data["properties"]
        assert (properties["logger"], properties["lineNumber"], data["severityLevel"]) == (
            "amllog.uncaught",
            "4",
            4,
        )


def test_the_record_of_a_cause(child: Any, journaled: Any) -> None:
    """The record has the chain of the exception, the highest level, and the logger of uncaught exceptions."""
    child(SETUP + "try:\n    try: {}['x']\n    except KeyError as error: raise ValueError('no') from error\n"
          "except ValueError: sys.exit(3)", env=QUIET)  # fmt: skip
    (data,) = journaled().of_type("Exception")
    assert [one["typeName"] for one in data["exceptions"]] == ["ValueError", "KeyError"]
    assert (data["exceptions"][0]["message"], data["severityLevel"]) == ("Exit code 3: no", 4)
    assert data["properties"]["logger"] == "amllog.uncaught"


@pytest.mark.parametrize("end", ["raise SystemExit(1) from error", "raise SystemExit(1)", "sys.exit(1)"])
def test_amllog_run(child: Any, journaled: Any, tmp_path: Path, end: str) -> None:
    """`amllog run` also finds the exception behind `raise SystemExit`."""
    script = tmp_path / "train.py"
    script.write_text("import sys\n" + FAIL + end)
    ran = child("from amllog.cli.main import main; main()", "run", str(script), env=QUIET)
    records = journaled()
    assert (ran.returncode, len(records.of_type("Exception"))) == (1, 1)
    assert [data["responseCode"] for data in records.of_type("Request")] == ["exit code 1"]


PROCESS = """
import multiprocessing, sys
import amllog
log = amllog.setup()

def work():
    END

if __name__ == "__main__":
    process = multiprocessing.get_context("METHOD").Process(target=work, name="loader")
    process.start()
    process.join()
"""
ENDS = {
    "raise ValueError('boom')": ["Uncaught exception in process loader: boom"],
    "try: int('x')\n    except ValueError: sys.exit(1)": [
        "Uncaught exception in process loader: invalid literal for int() with base 10: 'x'"
    ],
    "log.error('failed', exc_info=ValueError('boom')); sys.exit(1)": ["failed: boom"],
    "sys.exit(3)": [],
    "pass": [],
}


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_a_process(child: Any, journaled: Any, tmp_path: Path, method: str, end: str) -> None:
    """The exception that ends a multiprocessing.Process is recorded once. The step does not fail."""
    script = tmp_path / "train.py"
    script.write_text(PROCESS.replace("METHOD", method).replace("END", end))
    ran = child(script, env=QUIET, flags=("-W", "ignore:This process:DeprecationWarning"))
    records = journaled()
    assert [data["exceptions"][0]["message"] for data in records.of_type("Exception")] == ENDS[end], (
        ran.stderr
    )
    assert [data["success"] for data in records.of_type("Request")] == [True]


def test_a_process_that_is_started_while_an_exception_is_handled(child: Any, journaled: Any) -> None:
    """A forked process inherits the exception that its parent handles, and does not record it."""
    code = """
import multiprocessing
try: 1 / 0
except ZeroDivisionError:
    process = multiprocessing.get_context("fork").Process(target=log.info, args=("child",))
    process.start()
    process.join()
"""
    child(SETUP + code, env=QUIET, flags=("-W", "ignore:This process:DeprecationWarning"))
    records = journaled()
    assert (records.messages, records.of_type("Exception")) == (["child"], [])
