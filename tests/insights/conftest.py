"""Journals made of envelopes."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

RUN = "93102f5a-5b0c-4c3e-9e62-2f2f6a6a6d11"
_numbers = itertools.count()


def envelope(
    kind: str, base: dict[str, Any], time: str = "2026-11-22T10:00:00Z", parent: str = "", **properties: Any
) -> dict[str, Any]:
    """Return an envelope in the simplest form that amllog writes."""
    tags = {"ai.operation.id": "0" * 31 + "1", "ai.cloud.role": "train", "ai.operation.parentId": parent}
    known = {
        "parent_run_id": RUN,
        "step_id": "s1",
        "step_name": "train",
        "record_id": f"5e71e5-{next(_numbers):x}",
    }
    data = {"ver": 2, **base, "properties": {**known, **properties}}
    return {"time": time, "iKey": "", "ver": 1, "tags": tags, "data": {"baseType": kind, "baseData": data}}


def log(
    message: str, severity: Any = 1, time: str = "2026-11-22T10:00:00Z", **properties: Any
) -> dict[str, Any]:
    """Return the envelope of a log."""
    return envelope("MessageData", {"message": message, "severityLevel": severity}, time, **properties)


def failure(message: str, time: str = "2026-11-22T10:00:00Z", **properties: Any) -> dict[str, Any]:
    """Return the envelope of an exception with a stack of two frames."""
    frames = [
        {"level": 0, "method": "fit", "fileName": "train.py", "line": 3},
        {"level": 1, "method": "main"},
    ]
    exception = {
        "id": 1,
        "outerId": 0,
        "typeName": "ValueError",
        "message": f"{message}: no",
        "parsedStack": frames,
    }
    base = {"exceptions": [exception], "severityLevel": 3, "problemId": "ValueError at train.py:fit"}
    return envelope("ExceptionData", base, time, message=message, **properties)


def step(
    name: str,
    *,
    success: bool = True,
    seconds: int = 5,
    time: str = "2026-11-22T10:00:00Z",
    **properties: Any,
) -> Any:
    """Return the envelope of a step that has ended."""
    base = {"id": f"{name}-id", "name": name, "duration": f"0.00:00:{seconds:02d}.000000", "success": success}
    return envelope(
        "RequestData", {**base, "responseCode": "0" if success else "ValueError"}, time, **properties
    )


def write(path: Path, *lines: Any) -> Path:
    """Write a file with envelopes and with lines that are given as strings."""
    path.parent.mkdir(parents=True, exist_ok=True)
    texts = (line if isinstance(line, str) else json.dumps(line) + "\n" for line in lines)
    path.write_text("".join(texts), encoding="utf-8")
    return path


def append(path: Path, *lines: Any) -> None:
    """Append envelopes to a file."""
    with path.open("a") as file:
        file.writelines(json.dumps(line) + "\n" for line in lines)


@pytest.fixture
def journal(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes a journal file in the folder `j`: `journal(log("hello"), …)`."""

    def write_journal(*lines: Any, name: str = "20261122T100000-node-1-abcdef.jsonl") -> Path:
        return write(tmp_path / "j" / name, *lines)

    return write_journal
