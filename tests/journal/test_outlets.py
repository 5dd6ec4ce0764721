"""The outlets of a line."""

from __future__ import annotations

import pytest

from amllog.journal.outlets import ADDRESSED, APP_INSIGHTS, RUN_METRICS, is_meant_for

START, END = (
    b'{"time":"2026-11-22T20:52:35.123456Z",',
    b'"ver":1,"name":"Microsoft.ApplicationInsights.Message"',
)


@pytest.mark.parametrize(
    ("line", "meant", "addressed"),
    [
        (START + b'"iKey":"abc",' + END + b"}\n", {APP_INSIGHTS}, {APP_INSIGHTS}),
        (START + b'"iKey":"",' + END + b"}\n", {APP_INSIGHTS}, set()),
        (START + END + b"}\n", set(), set()),
        (START + END + b',"run_metric":"scalar"}\n', {RUN_METRICS}, {RUN_METRICS}),
    ],
)
def test_outlets_of_a_line(line: bytes, meant: set[str], addressed: set[str]) -> None:
    """A line with an empty key is meant for Application Insights, but not addressed to it yet."""
    assert {outlet for outlet in ADDRESSED if is_meant_for(outlet, line)} == meant
    assert {outlet for outlet, is_addressed in ADDRESSED.items() if is_addressed(line)} == addressed
    assert is_meant_for("another", line)
