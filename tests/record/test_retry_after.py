"""The Retry-After header in both of its forms."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest

from amllog.record.retry_after import retry_after_seconds

NOW = datetime(2026, 11, 22, 12, 0, 0, tzinfo=timezone.utc)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("5", 5.0), ("0.5", 0.5), (" 7 ", 7.0), ("999999999", 999999999.0), ("-5", None), ("", None), ("soon", None),
        ("Sun, 22 Nov 2026 12:00:30 GMT", 30.0), ("Sun, 22 Nov 2026 11:00:00 GMT", 0.0), ("Sun, 99 Nov 2026", None),
        ("1e5", None), ("nan", None), ("\u0665", None), ("1.2.3", None), (".", None),
    ],
)  # fmt: skip
def test_header_is_a_number_or_a_date(value: str, seconds: float | None) -> None:
    """A number and a date become seconds, whatever the case of the header's name. Other values become None."""
    assert retry_after_seconds({"rEtRy-aFtEr": value}, NOW) == seconds


def test_headers_without_retry_after() -> None:
    """Without the header, there is no pause."""
    assert retry_after_seconds({"Content-Type": "text/plain"}) is None
