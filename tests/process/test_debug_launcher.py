"""The launcher: the command lines of Python that it understands, and programs that run as with Python."""

from __future__ import annotations

import sys

import pytest

from amllog.process import debug_launcher
from amllog.process.debug_launcher import Program, parse_command_line

LAUNCHER = [sys.executable, debug_launcher.__file__]
SHOW = "import sys; print(sys.argv, sys.path[:2], __name__, __spec__ is None, sys.flags.utf8_mode)"


@pytest.mark.parametrize(
    ("line", "program"),
    [
        ("train.py --epochs 3", Program("file", "train.py", ("--epochs", "3"))),
        ("-u train.py -m x", Program("file", "train.py", ("-m", "x"), ("-u",))),
        ("-m package.train -v", Program("-m", "package.train", ("-v",))),
        ("-mpackage.train -v", Program("-m", "package.train", ("-v",))),
        ("-uBm train", Program("-m", "train", (), ("-uB",))),
        ("-W error -Xdev -X utf8 a.py", Program("file", "a.py", (), ("-W", "error", "-Xdev", "-X", "utf8"))),
        ("-uW error a.py", Program("file", "a.py", (), ("-uW", "error"))),
        ("-c code a", Program("-c", "code", ("a",))),
        ("--check-hash-based-pycs always a.py", Program("file", "a.py", (), ("--check-hash-based-pycs", "always"))),
        ("-- -odd.py", Program("file", "-odd.py")),
        ("", Program("")),
        ("-", Program("")),
        ("-u", Program("")),
        ("-m", Program("")),
        ("-V", Program("")),
        ("--version", Program("")),
        ("-uh train.py", Program("")),
    ],
)  # fmt: skip
def test_command_lines_are_those_of_python(line: str, program: Program) -> None:
    """The launcher finds the program in each form of the command line, as Python does."""
    assert parse_command_line(line.split()) == program
