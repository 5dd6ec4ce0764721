"""Records of other SDKs for the journal."""

from __future__ import annotations

from typing import Any

from amllog.local.job_records.journal_file import RunIdentity
from amllog.local.job_records.received_records import records_of_others
from amllog.record.operation_id import operation_id_of, span_id_of

RUN = RunIdentity("step_1", "pipe_1", "pipe_1", "train", "digits")


def _envelope(
    version: str, operation: str = "", kind: str = "MessageData", **properties: object
) -> dict[str, Any]:
    tags = {"ai.internal.sdkVersion": version, "ai.operation.id": operation, "ai.cloud.role": "mine"}
    base = {"ver": 2, "message": "hello", "properties": properties}
    return {"time": "2026-11-30T10:00:00Z", "tags": tags, "data": {"baseType": kind, "baseData": base}}


def test_records_get_the_step() -> None:
    """They get the dimensions and the span of the step, and their own ones win."""
    (record,) = records_of_others([_envelope("py3:oc1", "0" * 32, lineNumber=3, step_name="other")], RUN)
    properties = record.data["properties"]
    assert (properties["step_id"], properties["step_name"], properties["lineNumber"]) == (
        "step_1",
        "other",
        "3",
    )
    assert record.tags["ai.operation.id"] == operation_id_of("pipe_1")
    assert record.tags["ai.operation.parentId"] == span_id_of("step_1")
    assert (record.tags["ai.cloud.role"], record.tags["ai.internal.sdkVersion"]) == ("mine", "py3:oc1")
    (traced,) = records_of_others([_envelope("py3:oc1", "ab" * 16)], RUN)
    assert traced.tags["ai.operation.id"] == "ab" * 16
    assert "ai.operation.parentId" not in traced.tags or traced.tags["ai.operation.parentId"]


def test_other_records_stay() -> None:
    """Records of amllog are in the journal already, and no question reads page views."""
    envelopes = [_envelope("py3:amllog0.1"), _envelope("js:1", kind="PageViewData")]
    broken = [{}, {"data": []}, {"data": {"baseType": []}}, {"data": {"baseType": "MessageData"}, "tags": 1}]
    assert list(records_of_others([*envelopes, *broken], RUN)) == []
