"""For tests, yours and ours: what the code under test logs, as plain values, and nothing leaves the machine.

In: code under test, which may call `amllog.setup()` itself or only hold loggers. Out: its records.

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
    """One record: `kind` is log, exception, metric, event, span or step."""

    kind: str
    message: str = ""  # of a log or an exception
    name: str = ""  # of the others
    level: str = ""
    logger: str = ""
    value: float | None = None
    step: int | None = None
    success: bool | None = None  # of a span or a step
    stack: str = ""
    dimensions: Mapping[str, str] = field(default_factory=dict)  # all, as Application Insights gets them

    @property
    def own(self) -> dict[str, str]:
        """The dimensions of the call itself, of `bind`, `bound` and setup(): without those on every record."""
        return rendering.call_dimensions(self.dimensions, self.kind)


class Captured:
    """What was logged so far; what was logged in all, after the `with` block."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._final: list[Record] | None = None

    @property
    def records(self) -> list[Record]:
        """All records in time order; a span stands where it began, once it has ended."""
        if self._final is not None:
            return list(self._final)
        rows = Questions(PythonStore([self._directory])).records()
        return [_record(row) for row in rows if row["itemType"] != "request"]

    @property
    def messages(self) -> list[str]:
        """What logs and exceptions say."""
        return [record.message for record in self.records if record.kind in ("log", "exception")]

    @property
    def metrics(self) -> dict[str, list[float]]:
        """The values of each metric."""
        found: dict[str, list[float]] = {}
        for record in self.records:
            if record.kind == "metric" and record.value is not None:
                found.setdefault(record.name, []).append(record.value)
        return found

    def __iter__(self) -> Iterator[Record]:
        return iter(self.records)

    def close(self) -> None:
        """Keep what was logged: the files go."""
        self._final = self.records


@contextmanager
def capture(**settings: object) -> Generator[Captured, None, None]:
    """Set amllog up for the time of the block with `settings`, without any outlet but the driver log.

    AMLLOG_* variables of the surroundings do not count meanwhile; `setup()` in the code under test changes what it
    asks for, but neither the directory nor the outlets. Faults of amllog's own are raised. Afterwards everything is
    as before: amllog is set up again if it was.
    """
    session = api.session()
    before = session.arguments if session.identity is not None else None
    session.shutdown(0.0)
    environment = _take_environment()
    with tempfile.TemporaryDirectory(prefix="amllog-") as name:
        captured = Captured(Path(name))
        pinned, strict = session.pin({"directory": name, "exporter": "none", "metrics": "none"}, strict=True)
        try:
            session.recorder.emitter.forget_early()  # records from before are not the test's
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
    """Remove amllog's variables; what they were."""
    return {name: os.environ.pop(name) for name in list(os.environ) if name.startswith(PREFIX)}


def _record(row: Row) -> Record:
    kind = rendering.kind_of(row)
    told: dict[str, Any] = {"kind": kind, "logger": row["logger"], "dimensions": row["dimensions"]}
    names = {
        "log": ("message", "level"),
        "exception": ("message", "level", "stack"),
        "metric": ("value", "step"),
    }
    told.update((name, row[name]) for name in names.get(kind, ("success",)))
    return Record(**told, name="" if kind in ("log", "exception") else row["message"])
