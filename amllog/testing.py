"""Capture the records of code under test, which may call `amllog.setup()` or only hold loggers.

Nothing is sent. An example:

    from amllog.testing import capture

    def test_training_says_what_it_did():
        with capture() as logged:
            train(epochs=2)
        assert logged.messages == ["loaded", "trained"]
        assert logged.metrics == {"loss": [0.5, 0.25]}
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from amllog.config.variables import PREFIX
from amllog.insights.query.result import Row
from amllog.insights.questions import Questions
from amllog.insights.reports import rendering
from amllog.insights.stores.local.python_store import PythonStore
from amllog.session import api


@dataclass(frozen=True)
class Record:
    """A record. `kind` is log, exception, metric, event, span or step."""

    kind: str
    # Of a log or an exception.
    message: str = ""
    # Of the other kinds.
    name: str = ""
    level: str = ""
    logger: str = ""
    value: float | None = None
    step: int | None = None
    # Of a span or a step.
    success: bool | None = None
    stack: str = ""
    # All dimensions, as Application Insights gets them.
    dimensions: Mapping[str, str] = field(default_factory=dict)

    @property
    def own(self) -> dict[str, str]:
        """The dimensions of the call, `bind`, `bound` and setup(), without those that amllog adds to every record."""
        return rendering.call_dimensions(self.dimensions, self.kind)


class Captured:
    """The records so far, or all records after the `with` block."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._final: list[Record] | None = None

    @property
    def records(self) -> list[Record]:
        """All records in the order of their times. A span appears when it has ended, with the time of its beginning."""
        if self._final is not None:
            return list(self._final)
        rows = Questions(PythonStore([self._directory])).records()
        return [_record(row) for row in rows if row["itemType"] != "request"]

    @property
    def messages(self) -> list[str]:
        """The messages of logs and exceptions."""
        return [record.message for record in self.records if record.kind in ("log", "exception")]

    @property
    def metrics(self) -> dict[str, list[float]]:
        """The values of each metric."""
        values: dict[str, list[float]] = {}
        for record in self.records:
            if record.kind == "metric" and record.value is not None:
                values.setdefault(record.name, []).append(record.value)
        return values

    def __iter__(self) -> Iterator[Record]:
        return iter(self.records)

    def close(self) -> None:
        """Read all records, because the files are deleted."""
        self._final = self.records


@contextmanager
def capture(**settings: object) -> Generator[Captured, None, None]:
    """Set amllog up with `settings` for the block, with the driver log as the only outlet.

    AMLLOG_* variables are ignored in the block. `setup()` in the code under test changes settings, but neither the
    directory nor the outlets. Faults of amllog are raised. Afterwards, amllog is set up again if it was before.
    """
    session = api.session()
    before = session.arguments if session.identity is not None else None
    session.shutdown(0.0)
    environment = _take_environment()
    with tempfile.TemporaryDirectory(prefix="amllog-") as name:
        captured = Captured(Path(name))
        pinned, strict = session.pin({"directory": name, "exporter": "none", "metrics": "none"}, strict=True)
        try:
            session.recorder.emitter.forget_early()  # earlier records do not belong to the test
            session.setup(dict(settings))
            yield captured
        finally:
            captured.close()
            session.pin(pinned, strict=strict)
            session.shutdown(0.0)
            os.environ.update(environment)
    if before is not None:
        session.setup(before)


def _take_environment() -> dict[str, str]:
    """Remove the variables of amllog and return them."""
    return {name: os.environ.pop(name) for name in list(os.environ) if name.startswith(PREFIX)}


def _record(row: Row) -> Record:
    kind = rendering.kind_of(row)
    values: dict[str, Any] = {"kind": kind, "logger": row["logger"], "dimensions": row["dimensions"]}
    names = {
        "log": ("message", "level"),
        "exception": ("message", "level", "stack"),
        "metric": ("value", "step"),
    }
    values.update((name, row[name]) for name in names.get(kind, ("success",)))
    return Record(**values, name="" if kind in ("log", "exception") else row["message"])
