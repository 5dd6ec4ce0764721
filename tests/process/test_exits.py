"""The exit code and the reason of each way in which a script can end."""

from __future__ import annotations

from typing import Any

import pytest

WATCH = """
import atexit, os, sys
from amllog.process.exits import Exits, reason_in_flight
exits = Exits()
exits.watch()
def write():
    os.write(1, f"{reason_in_flight()}|{exits.result()}".encode())
"""
AT_EXIT = WATCH + "atexit.register(write)\n"
CATCH = "try: sys.exit(3)\nexcept SystemExit: "


@pytest.mark.parametrize(
    ("code", "returncode", "output"),
    [
        (AT_EXIT, 0, "|"),
        (AT_EXIT + "sys.exit(3)", 3, "|exit code 3"),
        (AT_EXIT + "def main():\n    sys.exit('no rows')\nmain()", 1, "|exit code 1"),
        (AT_EXIT + "exit(True)", 1, "|exit code 1"),
        (AT_EXIT + "quit(4)", 4, "|exit code 4"),
        (AT_EXIT + "exit()", 0, "|"),
        (AT_EXIT + CATCH + "pass", 0, "|"),
        (AT_EXIT + CATCH + "sys.exit(0)", 0, "|"),
        (AT_EXIT + "raise SystemExit(3)", 3, "|"),  # calls none of the replaced functions
        (WATCH + CATCH + "pass\nwrite()", 0, "|"),
        (WATCH + "try: sys.exit(3)\nfinally: write()", 3, "exit code 3|exit code 3"),
        (WATCH + "try: raise SystemExit(4)\nfinally: write()", 4, "exit code 4|"),
        (WATCH + "try: raise SystemExit\nfinally: write()", 0, "|"),
        (WATCH + "try: 1 / 0\nfinally: write()", 1, "ZeroDivisionError|"),
        (AT_EXIT + "exits.remove(); sys.exit(3)", 3, "|"),
    ],
)
def test_result(child: Any, code: str, returncode: int, output: str) -> None:
    """The result is the exit code, or nothing if the script caught its own SystemExit and continued."""
    ran = child(code)
    assert (ran.returncode, ran.stdout) == (returncode, output), ran.stderr


def test_exit_and_quit_keep_their_repr(child: Any) -> None:
    """`exit` and `quit` keep their repr, and are Python's again after remove()."""
    plain = child("print(exit, quit, type(exit).__call__.__name__)").stdout
    watched = child(WATCH + "print(exit, quit, end=' ')\nexits.remove()\nprint(type(exit).__call__.__name__)")
    assert watched.stdout == plain


def test_without_site(child: Any) -> None:
    """A Python without `exit` and `quit` (-S) is watched as well."""
    ran = child("import sys\ndel sys.modules['_sitebuiltins']\n" + AT_EXIT + "sys.exit(3)")
    assert (ran.returncode, ran.stdout) == (3, "|exit code 3")


def test_shutdown_in_a_finally_block(child: Any) -> None:
    """`shutdown()` in a `finally` records that the step failed, with the exception."""
    ran = child(
        "import amllog\namllog.setup(driver_level='DEBUG')\ntry: 1 / 0\nfinally: amllog.shutdown()\n",
    )
    assert "failed (ZeroDivisionError) after" in ran.stdout


def test_setup_while_threads_start(child: Any) -> None:
    """`sys._current_frames` is never called. On CPython 3.11 it can freeze a process in which threads start."""
    code = "import sys\ndef frozen():\n    raise SystemExit('frozen')\nsys._current_frames = frozen\n"
    ran = child(code + AT_EXIT + "sys.exit(3)")
    assert (ran.returncode, ran.stdout) == (3, "|exit code 3"), ran.stderr
