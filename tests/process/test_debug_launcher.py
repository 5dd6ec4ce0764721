"""The launcher: the command lines of Python that it understands, and programs that run as with Python."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from amllog.process import debug_launcher
from amllog.process.debug_launcher import Program, parse_command_line

# What a program sees of how it was started, and the exception that ends it.
SHOW = """
import sys
print(sys.argv, sys.path[0], sys.flags.utf8_mode)
print(__name__, globals().get("__file__"), [name for name in globals() if name[0] != "_"])
raise ValueError("the end")
"""


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


def run_python(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run an interpreter that has no debugpy."""
    return subprocess.run(
        [sys.executable, "-S", *words], cwd=folder, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(
    "words",
    [
        ("show.py", "a", "-b"),
        ("-S", "-X", "utf8", "sub/show.py"),
        ("-m", "sub.show", "a"),
        ("-c", SHOW, "a"),
        ("sub",),
        ("missing.py",),
        ("-",),
    ],
)
def test_programs_run_as_with_python(tmp_path: Path, words: tuple[str, ...]) -> None:
    """A program has the arguments, names, path, errors and exit code that Python gives it."""
    for name in ("show.py", "sub/show.py", "sub/__main__.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(SHOW)
    expected = run_python(tmp_path, *words)
    ran = run_python(tmp_path, debug_launcher.__file__, "--seconds", "0", "--", *words)
    message, _, output = ran.stdout.rpartition(" install debugpy\n")
    assert (output, ran.returncode) == (expected.stdout, expected.returncode)
    assert frames_of(ran.stderr) == frames_of(expected.stderr)
    assert message.startswith("amllog: no debugger (No module named 'debugpy')") is (words != ("-",))


def frames_of(trace: str) -> str:
    """Return a traceback without the frames of runpy, which Python shows for modules and folders, and without source.

    Python 3.13 and later show the source of `-c`.
    """
    return re.sub(r'  File "[^"]*runpy[^"]*", .*\n|    .*\n', "", trace)
