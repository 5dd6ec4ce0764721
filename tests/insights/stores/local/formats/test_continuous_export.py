"""Documents of continuous export."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from amllog.insights.insights import Insights

DIMENSIONS = {"parent_run_id": "run-1", "step_id": "s1", "step_name": "train"}


def document(numbers: list[Any] | None = None, **kind: Any) -> dict[str, Any]:
    """Return a document in the form of Microsoft's page on the data model."""
    custom = {"dimensions": [{key: value} for key, value in DIMENSIONS.items()], "metrics": numbers or []}
    context = {
        "data": {"eventTime": "2026-11-22T10:00:00.7334717Z", "samplingRate": 100.0},
        "device": {"roleInstance": "node", "roleName": "train"}, "operation": {"id": "op1", "parentId": "par1"},
        "custom": custom,
    }  # fmt: skip
    return {**kind, "internal": {"data": {"id": "7f156650", "documentVersion": "1.61"}}, "context": context}


POINT = {"value": 0.25, "count": 1.0, "min": 0.25, "max": 0.25, "stdDev": 0.0, "sum": 0.25}
CAUSE = {"exceptionType": "ValueError", "outerExceptionMessage": "boom", "message": "boom", "severityLevel": "Error",
         "parsedStack": [{"level": 0, "method": "fit"}], "problemId": "ValueError at fit"}  # fmt: skip
DOCUMENTS = {
    "Messages": document(message=[{"raw": "hello", "severityLevel": "Warning"}]),
    "Exceptions": document(basicException=[CAUSE]),
    "Event": document(event=[{"name": "model registered", "count": 1}]),
    "Metrics": document([{"loss": POINT}], metric=[]),
    "Requests": document(request=[{"id": "r", "name": "train", "responseCode": 1, "success": False,
                                   "durationMetric": {"value": 5e7}}]),
    "RemoteDependency": document(remoteDependency=[{"id": "d", "name": "load", "success": True, "type": "InProc",
                                                    "durationMetric": {"value": 1e7}}]),
}  # fmt: skip


def test_documents_are_read(read: Callable[..., Insights]) -> None:
    """Each kind of document has the rows that a journal has."""
    for kind, value in DOCUMENTS.items():
        insights = read(json.dumps(value).encode() + b"\n", f"app_0000/{kind}/2026-11-22/10/{kind}.blob")
    # Both have the same time, so their order is not defined.
    assert sorted((row["itemType"], row["message"]) for row in insights.errors("run-1")) == [
        ("exception", "boom"), ("request", "train"),
    ]  # fmt: skip
    assert sorted(row["level"] for row in insights.logs("last")) == ["ERROR", "WARNING"]
    assert [(row["name"], row["value"]) for row in insights.metrics()] == [("loss", 0.25)]
    (step,) = insights.steps()
    assert (step["step_name"], step["state"], step["duration_seconds"]) == ("train", "failed", 5.0)
    assert [row["name"] for row in insights.spans()] == ["load"]
    assert [row["name"] for row in insights.events()] == ["model registered"]


def test_a_cut_document_is_no_all_clear(read: Callable[..., Insights]) -> None:
    """A document that is cut anywhere after its kind has a note or its record."""
    data = json.dumps(DOCUMENTS["Exceptions"]).encode()
    for end in range(60, len(data), 97):
        table = read(data[:end], "a.blob").errors("all")
        assert len(table) == 1 or not table.reading.has_records, end


def test_members_of_other_types(read: Callable[..., Insights]) -> None:
    """Any JSON value in a member gives an answer."""
    for odd in (None, 1, "x", [1], {"a": 1}, [{"a": 1}, 2]):
        changed = {
            **DOCUMENTS["Requests"],
            "request": odd,
            "message": odd,
            "basicException": odd,
            "metric": odd,
        }
        context = {**changed["context"], "custom": odd, "operation": odd}
        insights = read(json.dumps({**changed, "context": context}).encode(), "a.blob")
        assert insights.logs("all") is not None
