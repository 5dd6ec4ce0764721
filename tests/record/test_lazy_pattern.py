"""Regular expressions that are compiled on first use."""

from __future__ import annotations

import re

import pytest

from amllog.record.lazy_pattern import LazyPattern


def test_methods_are_those_of_re() -> None:
    """The methods return what the compiled expression returns."""
    pattern = LazyPattern(r"(a)|b", re.IGNORECASE)
    for method in ("search", "match", "fullmatch"):
        match = getattr(pattern, method)("A")
        assert match.group(1) == "A"
    assert pattern.split("xby") == ["x", None, "y"]
    assert pattern.sub("-", "xAy") == "x-y"


def test_compiles_on_first_use() -> None:
    """An expression is compiled by the first call of a method, and other attributes do not exist."""
    pattern = LazyPattern("(")
    with pytest.raises(AttributeError):
        pattern.pattern  # noqa: B018  the access is the test
    with pytest.raises(re.error):
        pattern.search("x")
