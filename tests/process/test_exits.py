"""How a script ended, where no exception tells: what each way of leaving says of the step."""

from __future__ import annotations

from typing import Any

import pytest

WATCH = """
import atexit, os, sys
from amllog.process.exits import Exits, in_flight
exits = Exits()
exits.watch()
def say():
    os.write(1, f"{in_flight()}|{exits.result()}".encode())
"""
AT_EXIT = WATCH + "atexit.register(say)\n"
CATCH = "try: sys.exit(3)\nexcept SystemExit: "


@pytest.mark.parametrize(
    ("code", "returncode", "said"),
    [
        (AT_EXIT, 0, "|"),
        (AT_EXIT + "sys.exit(3)", 3, "|exit code 3"),
        (AT_EXIT + "def main():\n    sys.exit('no rows')\nmain()", 1, "|exit code 1"),
        (AT_EXIT + "exit(True)", 1, "|exit code 1"),
        (AT_EXIT + "quit(4)", 4, "|exit code 4"),
        (AT_EXIT + "exit()", 0, "|"),
        (AT_EXIT + CATCH + "pass", 0, "|"),
        (AT_EXIT + CATCH + "sys.exit(0)", 0, "|"),
        (AT_EXIT + "raise SystemExit(3)", 3, "|"),  # which nothing of ours can see
        (WATCH + CATCH + "pass\nsay()", 0, "|"),
        (WATCH + "try: sys.exit(3)\nfinally: say()", 3, "exit code 3|exit code 3"),
        (WATCH + "try: raise SystemExit(4)\nfinally: say()", 4, "exit code 4|"),
        (WATCH + "try: raise SystemExit\nfinally: say()", 0, "|"),
        (WATCH + "try: 1 / 0\nfinally: say()", 1, "ZeroDivisionError|"),
        (AT_EXIT + "exits.remove(); sys.exit(3)", 3, "|"),
    ],
)
def test_what_an_end_says(child: Any, code: str, returncode: int, said: str) -> None:
    """The exit code where the script left with it, nothing where it caught its own SystemExit and went on."""
    ran = child(code)
    assert (ran.returncode, ran.stdout) == (returncode, said), ran.stderr


def test_exit_looks_as_ever(child: Any) -> None:
    """`exit` and `quit` keep their texts, and are Python's own again afterwards."""
    plain = child("print(exit, quit, type(exit).__call__.__name__)").stdout
    watched = child(WATCH + "print(exit, quit, end=' ')\nexits.remove()\nprint(type(exit).__call__.__name__)")
    assert watched.stdout == plain


def test_without_site(child: Any) -> None:
    """A Python without `exit` and `quit` (-S) sets up all the same."""
    ran = child("import sys\ndel sys.modules['_sitebuiltins']\n" + AT_EXIT + "sys.exit(3)")
    assert (ran.returncode, ran.stdout) == (3, "|exit code 3")


def test_shutdown_on_the_way_out(child: Any) -> None:
    """`shutdown()` in a `finally` says that the step failed, and by what."""
    ran = child(
        "import amllog\namllog.setup(driver_level='DEBUG')\ntry: 1 / 0\nfinally: amllog.shutdown()\n",
    )
    assert "failed (ZeroDivisionError) after" in ran.stdout


def test_setup_while_threads_start(child: Any) -> None:
    """Nobody asks for the frames of other threads: on CPython 3.11, that freezes a process in which threads start."""
    code = "import sys\ndef frozen():\n    raise SystemExit('frozen')\nsys._current_frames = frozen\n"
    ran = child(code + AT_EXIT + "sys.exit(3)")
    assert (ran.returncode, ran.stdout) == (3, "|exit code 3"), ran.stderr
