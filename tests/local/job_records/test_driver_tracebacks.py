"""Tracebacks in driver logs."""

from __future__ import annotations

import contextlib
import io
import sys
import traceback
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies as st

from amllog.local.job_records.driver_tracebacks import TAIL_BYTES, exception_data, last_line, read_tail
from amllog.record.redaction import Redactor

REDACTOR = Redactor()


def _printed(code: str) -> str:
    """Return what Python prints about the exception of some code."""
    stream = io.StringIO()
    with contextlib.redirect_stderr(stream):
        try:
            exec(compile(code, "train.py", "exec"), {})
        except Exception:
            traceback.print_exc()
    return stream.getvalue()


def _data(log: str) -> dict[str, Any]:
    data = exception_data(log, REDACTOR)
    assert data is not None, log
    return data


def test_the_last_traceback_of_a_log() -> None:
    """The type, the message and the frames are those of the last traceback, with the innermost frame first."""
    code = "def load(path):\n    raise FileNotFoundError(2, 'No such file', path)\n"
    code += "def main():\n    load('a.csv')\nmain()"
    log = "epoch 1\n" + _printed("1/0") + "going on\n" + _printed(code) + "cleaned up\n"
    data = _data(log)
    (error,) = data["exceptions"]
    assert error["typeName"] == "FileNotFoundError"
    assert error["message"].startswith("[Errno 2] No such file: 'a.csv'")
    frames = [(frame["level"], frame["method"], frame["line"]) for frame in error["parsedStack"]]
    assert frames[:3] == [(0, "load", 2), (1, "main", 4), (2, "<module>", 5)]
    assert data["problemId"] == "FileNotFoundError at train.py:load"
    assert error["stack"].startswith("Traceback (most recent call last):")
    assert "ZeroDivisionError" not in str(data)


def test_causes_follow_their_exception() -> None:
    """Each cause is an exception of its own, below the one that it led to, and all are in the stack."""
    code = (
        "try:\n    try:\n        {}['a']\n    except KeyError:\n        int('x')\nexcept ValueError as e:\n"
    )
    data = _data(_printed(code + "    raise RuntimeError('no\\nmodel') from e"))
    assert [error["typeName"] for error in data["exceptions"]] == ["RuntimeError", "ValueError", "KeyError"]
    assert [error["outerId"] for error in data["exceptions"]] == [0, 1, 2]
    assert data["exceptions"][0]["message"] == "no\nmodel"
    assert "KeyError" in data["exceptions"][0]["stack"]


@pytest.mark.parametrize("code", ["x = = 1", "def f():\nreturn 1", "import json; json.loads('{')"])
def test_errors_of_the_compiler_and_of_libraries(code: str, child: Any) -> None:
    """The error of a script that cannot be compiled has no header, and is found too."""
    log = child(code).stderr
    kind = log.rstrip().splitlines()[-1].partition(":")[0]
    assert _data(log)["exceptions"][0]["typeName"] == kind


@pytest.mark.skipif(sys.version_info < (3, 11), reason="exception groups")
def test_an_exception_group() -> None:
    """A group has marks in front of its lines."""
    data = _data(_printed("raise ExceptionGroup('two', [ValueError('a'), TypeError('b')])"))
    assert data["exceptions"][0]["typeName"] in ("ExceptionGroup", "TypeError")


def test_lines_after_a_traceback() -> None:
    """A message of several lines ends before the lines of loggers and of MLflow."""
    log = _printed("raise ValueError('bad\\ndata')") + "\U0001f3c3 View run train at: http://x\nmore\n"
    assert _data(log)["exceptions"][0]["message"] == "bad\ndata"
    log = _printed("raise ValueError('bad')") + "2026-11-30 10:00:00 INFO ended\n"
    assert _data(log)["exceptions"][0]["message"] == "bad"


def test_secrets_and_colors() -> None:
    """Secrets are masked, and codes of the terminal are removed."""
    log = _printed("raise ValueError('password=hunter2secret')")
    assert "hunter2secret" not in str(_data(log))


def test_a_log_without_a_traceback(tmp_path: Path) -> None:
    """Without a traceback there is no exception. The last line is the last state of a bar."""
    assert exception_data("epoch 1\nsh: 1: pyhton: not found\n", REDACTOR) is None
    assert last_line("epoch 1\n 10%\r 50%\r 99%\n\n") == "99%"
    assert (last_line(""), read_tail(tmp_path / "none")) == ("", "")


def test_only_the_end_of_a_log_is_read(tmp_path: Path) -> None:
    """The end of a large log is read, with invalid bytes and without colors."""
    log = tmp_path / "std_log.txt"
    log.write_bytes(b"x" * 2 * TAIL_BYTES + b"\n\x1b[31mred\x1b[0m \xff\r\n" + _printed("1/0").encode())
    text = read_tail(log)
    assert len(text) <= TAIL_BYTES
    assert "red \ufffd\n" in text
    assert _data(text)["exceptions"][0]["message"] == "division by zero"


LINES = st.sampled_from(
    ['Traceback (most recent call last):', '  File "a.py", line 1, in f', "    f()", "ValueError: x", "", "  | x", "a",
     "During handling of the above exception, another exception occurred:", '  File "a.py", line 1', "SyntaxError: x"]
) | st.text(max_size=20)  # fmt: skip


@given(st.lists(LINES, max_size=40))
def test_any_log(lines: list[str]) -> None:
    """No log raises, and each exception has a type."""
    data = exception_data("\n".join(lines), REDACTOR)
    assert data is None or all(error["typeName"] for error in data["exceptions"])
