"""The verdicts of an export."""

from __future__ import annotations

from amllog.delivery.exporter import DELIVERED, ExportResult, refused, waiting


def test_verdicts_of_a_batch() -> None:
    """Each line has the default verdict, unless it is an exception."""
    result = ExportResult(waiting("busy"), {1: DELIVERED, 2: refused("400 bad")})
    assert result.verdicts(4) == [waiting("busy"), DELIVERED, refused("400 bad"), waiting("busy")]
    assert ExportResult().verdicts(2) == [DELIVERED, DELIVERED]
