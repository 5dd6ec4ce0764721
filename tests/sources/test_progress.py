"""The progress of a loop: bars, lines, and unchanged items."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from typing import Any

import pytest

import amllog
from amllog.sources import progress


def iterate(items: Any, total: int | None = None) -> tuple[list[Any], list[str]]:
    """Return the items and the lines of a loop."""
    lines: list[str] = []
    passed = list(progress.lines(items, "work", total, lines.append))
    return passed, lines


def test_lines() -> None:
    """The line at the end has the number of items, the total if it is known, and the rate."""
    assert iterate([1, 2, 3])[0] == [1, 2, 3]
    assert re.fullmatch(r"work: 3 of 3 \(100%\), [\d.e+]+/s", iterate([1, 2, 3])[1][0])
    assert re.fullmatch(r"work: 3, [\d.e+]+/s", iterate(iter([1, 2, 3]))[1][0])
    assert re.fullmatch(r"work: 3 of 4 \(75%\), [\d.e+]+/s", iterate(iter([1, 2, 3]), 4)[1][0])
    assert iterate([])[1] == ["work: 0 of 0"]


def test_interrupted() -> None:
    """A loop that fails reports how many items were done."""

    def failing() -> Iterator[int]:
        yield 1
        raise ValueError("x")

    lines: list[str] = []
    with pytest.raises(ValueError):
        list(progress.lines(failing(), "work", 10, lines.append))
    assert len(lines) == 1 and lines[0].startswith("work: 1 of 10 (10%)")


def test_through_the_logger(capsys: pytest.CaptureFixture[str], tmp_path: Any) -> None:
    """Without a terminal, the progress is a line on the driver log, and nothing is written to stderr."""
    log = amllog.setup(directory=tmp_path / "j")
    capsys.readouterr()
    assert list(log.progress(range(3), "scoring")) == [0, 1, 2]
    out, err = capsys.readouterr()
    assert out.count("scoring: 3 of 3 (100%)") == 1 and err == ""


def test_on_a_terminal(child: Any) -> None:
    """On a terminal, the progress is a bar on stderr and not a record."""
    code = """
import sys, amllog
log = amllog.setup()
sys.stderr.isatty = lambda: True
print(list(log.progress(range(3), "scoring")), amllog.status().accepted)
"""
    ran = child(code)
    assert "[0, 1, 2] 0" in ran.stdout and "scoring: 100%" in ran.stderr


@pytest.mark.parametrize("stderr", ["None", "object()", "open('/dev/null', 'w')"])
def test_unusual_stderr(child: Any, stderr: str) -> None:
    """A stderr that is missing, closed or not a file is not a terminal."""
    code = f"import sys, amllog; log = amllog.setup(); sys.stderr = {stderr}\n"
    code += "if hasattr(sys.stderr, 'close'): sys.stderr.close()\n"
    code += "print(list(log.progress([1], 'x'))); sys.stderr = None"
    assert "[1]" in child(code).stdout
    assert sys.stderr is not None
