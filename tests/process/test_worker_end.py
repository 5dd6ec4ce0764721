"""Tests of the exception that ends a process of multiprocessing. More are in tests/end_to_end/test_causes.py."""

from __future__ import annotations

import sys
import traceback
from typing import Any

import pytest

from amllog.process import worker_end

CAUGHT = """
import multiprocessing, sys
from amllog.process.exits import Exits
exits = Exits()
exits.watch()

def work():
    try:
        try: int("x")
        except ValueError: sys.exit(1)
    except SystemExit:
        AFTER

class Process(multiprocessing.get_context("fork").Process):
    def _bootstrap(self, *args, **options):
        code = super()._bootstrap(*args, **options)
        print(code, exits.worker_end(), flush=True)
        return code

process = Process(target=work, name="loader")
process.start()
process.join()
"""


@pytest.mark.parametrize(
    ("after", "end"),
    [
        ("pass", "0 ('', None)"),
        ("sys.exit(3)", "3 ('loader', ValueError(\"invalid literal for int() with base 10: 'x'\"))"),
        ("raise", "1 ('loader', ValueError(\"invalid literal for int() with base 10: 'x'\"))"),
    ],
)
def test_exits_of_processes(child: Any, after: str, end: str) -> None:
    """The exception behind an exit counts only if the function of the process did not catch the SystemExit."""
    ran = child(CAUGHT.replace("AFTER", after), flags=("-W", "ignore:This process:DeprecationWarning"))
    assert ran.stdout.splitlines() == [end], ran.stderr


def test_exceptions_that_other_code_prints(capsys: pytest.CaptureFixture[str]) -> None:
    """An exception that a script prints with `traceback.print_exc()` ends no process."""
    ends: list[object] = []
    hook = worker_end.hook(lambda name, error: ends.append((name, error)))
    hook.put()
    try:
        try:
            int("x")
        except ValueError:
            names = [worker_end.name_of_ended(sys.exc_info()[1]), worker_end.name_of_ended(None)]
            traceback.print_exc(limit=1)
    finally:
        hook.remove()
    assert ends == [] and "ValueError: invalid literal" in capsys.readouterr().err
    assert names == ["", ""]
