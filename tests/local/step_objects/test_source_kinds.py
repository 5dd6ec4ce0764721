"""The sources of `Pipeline`."""

from __future__ import annotations

from typing import Any

import pytest

from amllog.errors import UsageError
from amllog.local.step_objects.source_kinds import classify


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("missing.yml", "there is no file missing.yml in"),
        ([], "a list of functions, got list"),
        (3, "a list of functions, got int"),
        ([print, 3], "a list of functions, got list"),
        ([3], "a list of functions, got list"),
        ({"a": 1}, "a list of functions, got dict"),
    ],
)
def test_sources_that_are_none(source: Any, message: str) -> None:
    """A source of another kind is an error that names what is allowed."""
    with pytest.raises(UsageError, match=message):
        classify(source)
