"""Journals made of envelopes, and the questions over them."""

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
    """An envelope as amllog writes them, in its plainest form."""
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
    """A log line."""
    return envelope("MessageData", {"message": message, "severityLevel": severity}, time, **properties)


def failure(message: str, time: str = "2026-11-22T10:00:00Z", **properties: Any) -> dict[str, Any]:
    """An exception with its message and a stack of two frames."""
    frames = [
        {"level": 0, "method": "fit", "fileName": "train.py", "line": 3},
        {"level": 1, "method": "main"},
    ]
    one = {
        "id": 1,
        "outerId": 0,
        "typeName": "ValueError",
        "message": f"{message}: no",
        "parsedStack": frames,
    }
    base = {"exceptions": [one], "severityLevel": 3, "problemId": "ValueError at train.py:fit"}
    return envelope("ExceptionData", base, time, message=message, **properties)


def step(
    name: str, *, success: bool = True, seconds: int = 5, time: str = "2026-11-22T10:00:00Z", **own: Any
) -> Any:
    """The end of a step."""
    base = {"id": f"{name}-id", "name": name, "duration": f"0.00:00:{seconds:02d}.000000", "success": success}
    return envelope("RequestData", {**base, "responseCode": "0" if success else "ValueError"}, time, **own)


def write(path: Path, *lines: Any) -> Path:
    """A file with these envelopes, or with lines that are given as text."""
    path.parent.mkdir(parents=True, exist_ok=True)
    texts = (line if isinstance(line, str) else json.dumps(line) + "\n" for line in lines)
    path.write_text("".join(texts), encoding="utf-8")
    return path


@pytest.fixture
def journal(tmp_path: Path) -> Callable[..., Path]:
    """Writes one journal file into the folder `j`: `journal(log("hello"), …)`; its name may be given."""

    def written(*lines: Any, name: str = "20261122T100000-node-1-abcdef.jsonl") -> Path:
        return write(tmp_path / "j" / name, *lines)

    return written
