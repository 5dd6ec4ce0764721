"""Fixtures of the tests of captures."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture
def recorded(tmp_path: Path) -> Callable[[], list[tuple[str, str]]]:
    """Return a function that returns (logger, message) of each record in the journal."""

    def read() -> list[tuple[str, str]]:
        records = []
        for file in (tmp_path / "j").glob("*.jsonl"):
            for line in file.open():
                data = json.loads(line)["data"]["baseData"]
                text = data.get("message") or data.get("exceptions", [{}])[0].get("message", "")
                records.append((data["properties"]["logger"], text))
        return [record for record in records if record[1]]

    return read


class Received(logging.Handler):
    """A handler that keeps its records."""

    def __init__(self) -> None:
        super().__init__()
        self.messages: list[str] = []
        self.filtered: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the message."""
        self.messages.append(record.getMessage())

    def filter(self, record: logging.LogRecord) -> Any:
        """Keep the message, also of a record that is rejected."""
        self.filtered.append(record.getMessage())
        return super().filter(record)


HOOKED = ("callHandlers", "isEnabledFor")


@pytest.fixture
def received() -> Iterator[Received]:
    """Return a handler on the root logger, whose level is WARNING.

    The loggers below `guest` and the hooks of a test are removed afterwards.
    """
    root, handler = logging.getLogger(), Received()
    level, hooked = root.level, {name: getattr(logging.Logger, name) for name in HOOKED}
    root.setLevel(logging.WARNING)
    root.addHandler(handler)
    yield handler
    root.removeHandler(handler)
    root.setLevel(level)
    for name, method in hooked.items():
        setattr(logging.Logger, name, method)
    logging.disable(logging.NOTSET)
    for name in list(logging.Logger.manager.loggerDict):
        if name.partition(".")[0] == "guest":
            del logging.Logger.manager.loggerDict[name]
