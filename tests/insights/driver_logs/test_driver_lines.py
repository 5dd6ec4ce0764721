"""The lines of a file with their levels and records."""

from __future__ import annotations

from pathlib import Path

from amllog.insights.driver_logs.driver_lines import DriverLine, file_lines, is_at_least
from amllog.insights.driver_logs.log_folders import find_jobs

from .conftest import write_files  # isort: skip
from .test_line_records import record  # isort: skip

LOG = """\
2026-11-30T23:59:59.500Z INFO     train: loaded  rows=10
plain
2026-11-30T23:59:59.501Z ERROR    train: bad
    Traceback (most recent call last):
    ValueError: x
    indented by the script
 lib - WARN - careful
Traceback (most recent call last):
  File "a.py", line 3, in <module>
ValueError: an INFO
no level
[2022-02-01T09:14:40.901200] Command finished with return code 1
"""


def lines_of(folder: Path, **files: str) -> list[DriverLine]:
    """Return the lines of the first file that is written."""
    (job,) = find_jobs(write_files(folder, **files), [])
    return list(file_lines(job, job.files[0], iter([record(0, "loaded", rows="10", team="nlp")])))


def test_levels(tmp_path: Path) -> None:
    """Further lines and tracebacks have the level of the line that they belong to."""
    lines = lines_of(tmp_path, user_logs__std_log=LOG)
    assert [line.level for line in lines] == [
        *("INFO", "", "ERROR", "ERROR", "ERROR", "ERROR", "WARNING", "ERROR", "ERROR", "ERROR", "", "")
    ]
    assert [line.number for line in lines if line.is_further] == [4, 5, 6, 9, 10]


def test_dimensions_of_the_record(tmp_path: Path) -> None:
    """A line shows the dimensions of its record that it lacks, and only once."""
    first, second, *_ = lines_of(tmp_path, user_logs__std_log=LOG)
    assert (first.missing_dimensions, second.missing_dimensions) == ("  team=nlp", "")
    assert first.as_dict()["dimensions"] == {"level": "INFO", "rows": "10", "team": "nlp"}


def test_lines_of_the_wrapper_are_in_the_legacy_log_only(tmp_path: Path) -> None:
    """A line of the wrapper is marked in the legacy driver log. In the common runtime, only a script can print it."""
    assert not lines_of(tmp_path / "new", user_logs__std_log=LOG)[-1].is_runtime
    assert lines_of(tmp_path / "old", **{"azureml-logs__70_driver_log": LOG})[-1].is_runtime


def test_lines_of_ranks(tmp_path: Path) -> None:
    """Behind the number of a rank, a line has its record, and the level of the lines of its rank."""
    first, trace, *rest = LOG.splitlines()[0], *LOG.splitlines()[7:10]
    log = [f"[0] {first}", f"[1] {trace}", "[0] plain", f"[1] {rest[0]}", f"[1] {rest[1]}"]
    files = {"user_logs__std_log": "\n".join(log), "user_logs__std_log_process_00": ""}
    lines = lines_of(tmp_path, **files)
    assert [line.text for line in lines] == log
    assert [line.level for line in lines] == ["INFO", "ERROR", "", "ERROR", "ERROR"]
    assert lines[0].missing_dimensions == "  team=nlp"


def test_order_of_levels() -> None:
    """A level includes those above it, and lines without a level are below all."""
    assert [is_at_least(level, "WARNING") for level in ("", "INFO", "WARNING", "CRITICAL", "Level 35")] == [
        *(False, False, True, True, False)
    ]
