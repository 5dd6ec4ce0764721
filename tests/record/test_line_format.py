"""The format of `key=value` pairs in lines of text."""

from __future__ import annotations

import pytest

from amllog.record.line_format import quoted_value


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("3", "3"), ("a/b.c", "a/b.c"), ("", '""'), ("a b", '"a b"'), ("a=b", '"a=b"'), ("it's", '"it\'s"'),
        ("a\nb", '"a\\nb"'), ("a\x9bb", "a\\x9bb"), ("a\u202e b", '"a\\u202e b"'), ("\u00e9", "\u00e9"),
    ],
)  # fmt: skip
def test_value_is_quoted_where_its_end_is_unclear(value: str, expected: str) -> None:
    """Empty values and values with blanks, quotes or equals signs are quoted. Control characters are escaped."""
    assert quoted_value(value) == expected
