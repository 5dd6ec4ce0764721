"""Records that other SDKs have sent to the local Azure, for the journal.

Each step has an ingestion address of its own, so the step of a record is known. The records get the dimensions of the
step where they have none. Records of amllog are in the journal of their process already.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from amllog.local.job_records.journal_file import JournalRecord, RunIdentity
from amllog.local.job_records.metric_records import to_seconds
from amllog.record import envelope, text

_VERSION = "ai.internal.sdkVersion"
_OPERATION = "ai.operation.id"


def records_of_others(
    envelopes: Iterable[Mapping[str, Any]], identity: RunIdentity
) -> Iterable[JournalRecord]:
    """Yield the records of other SDKs. A type that no question reads stays in the local Azure only."""
    for item in envelopes:
        # The local Azure of a local run is not strict, so an envelope may have any members.
        content, tags = item.get("data"), _strings(item.get("tags"))
        if not isinstance(content, dict) or "amllog" in tags.get(_VERSION, ""):
            continue
        kind, base = content.get("baseType"), content.get("baseData")
        if not isinstance(kind, str) or kind not in envelope.KINDS or not isinstance(base, dict):
            continue
        data = {name: value for name, value in base.items() if name != "ver"}
        properties = {**identity.dimensions(), **_strings(data.get("properties"))}
        own = identity.tags()
        if not tags.get(_OPERATION, "").strip("0"):  # OpenTelemetry writes zeros without a span
            tags.update({name: own[name] for name in (_OPERATION, "ai.operation.parentId")})
        own_tags = {name: value for name, value in own.items() if name != _VERSION}
        yield JournalRecord(
            to_seconds(item.get("time")), kind, {**data, "properties": properties}, {**own_tags, **tags}
        )


def _strings(values: object) -> dict[str, str]:
    if not isinstance(values, Mapping):
        return {}
    return {str(name): text.to_text(value) for name, value in values.items() if value is not None}
