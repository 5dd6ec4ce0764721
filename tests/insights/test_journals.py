"""Rows from journals: envelopes of ours and of others, whole files and what is left of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from amllog.errors import UsageError
from amllog.insights import journals

STOCK = {
    "ver": 1,
    "name": "Microsoft.ApplicationInsights.Message",
    "time": "2026-11-22T10:00:00.123456Z",
    "sampleRate": None,
    "iKey": "00000000-0000-0000-0000-000000000000",
    "tags": {"ai.operation.id": "00000000000000000000000000000000"},
    "data": {
        "baseType": "MessageData",
        "baseData": {
            "ver": 2,
            "message": "hello",
            "severityLevel": 2,
            "properties": {"lineNumber": 3, "level": "WARNING", "step_id": "run_1", "parent_run_id": "p_1"},
        },
    },
}


def envelope(
    kind: str, base: dict[str, Any], time: str = "2026-11-22T10:00:00Z", **properties: str
) -> dict[str, Any]:
    """An envelope in its plainest form."""
    return {"time": time, "data": {"baseType": kind, "baseData": {**base, "properties": properties}}}


def write(folder: Path, *envelopes: object, name: str = "20261122T100000-node-1-abcd.jsonl") -> Path:
    """A journal file with these lines."""
    path = folder / name
    path.write_text("".join(json.dumps(one) + "\n" for one in envelopes))
    return path


def test_envelopes_of_the_stock_handler_are_read() -> None:
    """Numbers as dimensions, no record id, members in another order."""
    row = journals.row_of(STOCK)
    assert row is not None
    assert (row["kind"], row["message"], row["level"], row["run"]) == ("log", "hello", "WARNING", "p_1")
    assert row["dimensions"] == {"lineNumber": "3"}


@pytest.mark.parametrize(
    ("base", "properties", "expected"),
    [
        ({"message": "m", "severityLevel": 3}, {}, ("log", "ERROR")),
        ({"message": "m"}, {"level": "Level 35"}, ("log", "DEBUG")),
    ],
)
def test_levels_that_have_no_name(
    base: dict[str, Any], properties: dict[str, str], expected: tuple[str, str]
) -> None:
    """Where no level is given by name, the severity tells."""
    row = journals.row_of(envelope("MessageData", base, **properties))
    assert row is not None
    assert (row["kind"], row["level"]) == expected


@pytest.mark.parametrize(
    ("duration", "seconds"),
    [("0.00:00:01.500000", 1.5), ("1.01:01:01.000000", 90061.0), ("00:00:02", 2.0), ("?", 0.0)],
)
def test_durations(duration: str, seconds: float) -> None:
    """With days and without, as all SDKs write them."""
    base = {"name": "s", "id": "1", "duration": duration, "success": False, "resultCode": "ValueError"}
    row = journals.row_of(envelope("RemoteDependencyData", base))
    assert row is not None
    assert (row["duration_seconds"], row["result"], row["success"]) == (seconds, "ValueError", False)


@pytest.mark.parametrize(
    "broken", [{}, {"data": None}, envelope("PageViewData", {}), envelope("MetricData", {"metrics": []})]
)
def test_what_is_no_record_is_none(broken: dict[str, Any]) -> None:
    """Missing members, unknown kinds: no row, no error."""
    assert journals.row_of(broken) is None


def test_files_below_are_found_once(tmp_path: Path) -> None:
    """Folders in folders, but only journals; the same folder given twice counts once."""
    (tmp_path / "a" / "b").mkdir(parents=True)
    file = write(tmp_path / "a" / "b", STOCK)
    write(tmp_path / "a", STOCK, name="metrics.jsonl")
    assert journals.files([tmp_path, tmp_path / "a"]) == [file]


def test_rows_of_all_files_are_in_time_order(tmp_path: Path) -> None:
    """Whatever file they stand in; and what could not be read is counted."""
    later, sooner = ({**STOCK, "time": f"2026-11-22T10:00:0{second}Z"} for second in (2, 1))
    write(tmp_path, later, [1])
    write(tmp_path, sooner, name="20261122T110000-node-2-abcd.jsonl")
    found = journals.read([tmp_path])
    assert ([row["time"][-3:] for row in found.rows], found.files, found.torn) == (["01Z", "02Z"], 2, 1)


def test_names_of_runs(tmp_path: Path) -> None:
    """Exact before prefix, run before step, and no guess where several fit."""

    def said(run: str, step: str) -> dict[str, Any]:
        return envelope("MessageData", {"message": f"{run} {step}"}, parent_run_id=run, step_id=step)

    write(tmp_path, said("ab", "s1"), said("abc", "s2"), said("xyz", "s1_more"))
    rows = journals.read([tmp_path]).rows
    found = {
        name: [row["message"] for row in journals.find(rows, name)[1]] for name in ("ab", "x", "s2", "all")
    }
    assert found == {
        "ab": ["ab s1"],
        "x": ["xyz s1_more"],
        "s2": ["abc s2"],
        "all": ["ab s1", "abc s2", "xyz s1_more"],
    }
    for name in ("a", "nothing"):
        with pytest.raises(UsageError):
            journals.find(rows, name)
