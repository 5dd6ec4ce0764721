"""The lines of the driver logs of a job, with the records of those that amllog wrote."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from typing import Any, NamedTuple

from amllog.insights.driver_logs import layouts, line_records
from amllog.insights.driver_logs.line_records import OurLine, RecordWindow
from amllog.insights.driver_logs.log_folders import JobFolder, LogFile
from amllog.insights.driver_logs.log_reading import read_lines
from amllog.insights.driver_logs.runtime_lines import is_runtime_line
from amllog.insights.query.result import Row
from amllog.insights.reports.rendering import call_dimensions, kind_of
from amllog.record.line_format import LEVEL_NAMES, quoted_value

TRACEBACK = "Traceback (most recent call last):"
_LEVEL_WORD = re.compile(r"\b(DEBUG|INFO|WARN(?:ING)?|ERROR|CRITICAL|FATAL)\b")
_SAME_LEVEL = {"WARN": "WARNING", "FATAL": "CRITICAL"}
_RANK = re.compile(r"\[\d+\] ")
_LEVEL_PLACE = 80  # characters at the beginning of a line in which its level is looked for


class DriverLine(NamedTuple):
    """One line. `row` is its record, if amllog wrote it and the record is known.

    `level` is "" if the line does not have one. `is_runtime`: Azure ML's wrapper wrote it. `is_further`: it continues
    the line above, as a stack does.
    """

    step: str
    file: str
    number: int
    text: str
    level: str = ""
    row: Row | None = None
    is_runtime: bool = False
    is_further: bool = False

    @property
    def missing_dimensions(self) -> str:
        """The record's dimensions that the line does not show, as `key=value` pairs.

        The dimensions of a message with several lines are behind the last one.
        """
        if self.row is None or "\n" in self.row["message"]:
            return ""
        values = call_dimensions(self.row["dimensions"], kind_of(self.row))
        pairs = (f"  {key}={quoted_value(value)}" for key, value in values.items() if key != "record_id")
        return "".join(pair for pair in pairs if pair not in self.text)

    def as_dict(self) -> dict[str, Any]:
        """Return the line as values of JSON, with the dimensions of its record."""
        record = self.row or {}
        return {
            "step_name": self.step,
            "file": self.file,
            "line": self.number,
            "text": self.text,
            "level": self.level,
            "timestamp": record.get("timestamp"),
            "logger": record.get("logger", ""),
            "message": record.get("message", ""),
            "stack": record.get("stack", ""),
            "dimensions": record.get("dimensions", {}),
            "is_runtime": self.is_runtime,
        }


def file_lines(job: JobFolder, file: LogFile, records: Iterator[Row]) -> Iterator[DriverLine]:
    """Yield the lines of one file. `records` are those of the job in time order. Raises OSError."""
    window, levels = RecordWindow(records), defaultdict[str, _Levels](_Levels)
    has_wrapper = layouts.has_wrapper_lines(file.name)
    has_ranks = any(layouts.is_rank_log(other.name) for other in job.files) and not layouts.is_rank_log(
        file.name
    )
    for number, text in enumerate(read_lines(file.path), 1):
        match = _RANK.match(text) if has_ranks else None
        rank = match[0] if match else ""
        own = text[len(rank) :]
        ours = line_records.parse_line(own)
        row = window.take(ours) if ours is not None else None
        level, is_further = levels[rank].next(own, ours)
        yield DriverLine(
            job.name, file.name, number, text, level, row, has_wrapper and is_runtime_line(text), is_further
        )


class _Levels:
    """The levels of lines in order. Further lines of a record and of a traceback have the level of the first."""

    def __init__(self) -> None:
        self._level = ""
        self._is_traceback = False

    def next(self, text: str, ours: OurLine | None) -> tuple[str, bool]:
        """Return the level of the next line, and whether it continues the line above."""
        if ours is not None:
            self._level, self._is_traceback = ours.level, False
            return ours.level, False
        if text.startswith("    ") and self._level and not self._is_traceback:
            return self._level, True
        if text.startswith(TRACEBACK):
            self._level, self._is_traceback = "ERROR", True
            return "ERROR", False
        if self._is_traceback:
            self._is_traceback = text.startswith(" ")
            level, self._level = self._level, self._level if self._is_traceback else ""
            return level, True
        match = _LEVEL_WORD.search(text[:_LEVEL_PLACE])
        self._level = _SAME_LEVEL.get(match[1], match[1]) if match else ""
        return self._level, False


def is_at_least(level: str, least: str) -> bool:
    """Return whether a level is this one or a higher one. Levels of other names are not."""
    return level in LEVEL_NAMES and LEVEL_NAMES.index(level) >= LEVEL_NAMES.index(least)
