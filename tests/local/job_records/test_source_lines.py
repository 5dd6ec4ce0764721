"""The line of a user's source at which a step failed."""

from __future__ import annotations

from pathlib import Path

import pytest

from amllog.local.job_records.source_lines import failed_line

TRACEBACK = """start
Traceback (most recent call last):
  File "{main}", line 5, in <module>
    fit()
  File "WORK/model/fit.py", line 13, in fit
    json.loads("")
  File "/usr/lib/python3/json/__init__.py", line 346, in loads
    return 0
  File "a\0b", line 1, in <module>
    return 1
ValueError: bad rows
"""


@pytest.mark.parametrize(
    ("main", "file", "line"),
    [("WORK/train.py", "model/fit.py", 13), ("train.py", "train.py", 5), ("WORK/other.py", "", 0)],
)
def test_the_innermost_line_of_the_source(tmp_path: Path, main: str, file: str, line: int) -> None:
    """Files of libraries, and those that the source does not have, are passed over. Names may be relative."""
    work, source = tmp_path / "step" / "work", tmp_path / "src"
    for folder in (work, tmp_path / "step" / "user_logs", source / "model"):
        folder.mkdir(parents=True)
    if file:
        (source / file).write_text("")
    text = TRACEBACK.format(main=main).replace("WORK", str(work))
    (tmp_path / "step" / "user_logs" / "std_log.txt").write_text(text)
    assert failed_line(tmp_path / "step", source) == ((source / file, line) if file else None)


def test_a_step_without_a_traceback(tmp_path: Path) -> None:
    """A step without a log or a traceback has no line."""
    assert failed_line(tmp_path, tmp_path) is None
