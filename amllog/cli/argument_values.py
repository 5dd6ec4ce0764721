"""Parse the values of options. ArgumentTypeError is reported by argparse as wrong usage."""

from __future__ import annotations

import argparse
import re

from amllog.errors import UsageError
from amllog.insights.query.filters import parse_severity
from amllog.record.line_format import LEVEL_NAMES

_EXPRESSION = re.compile(r"[\\^$|*+(){}\[\]]")


def level(text: str) -> str:
    """Return the name of a level that has another name or is a number."""
    try:
        return LEVEL_NAMES[parse_severity(int(text) if text.isdigit() else text)]
    except UsageError:
        return text.upper()  # argparse rejects it


def plain_text(text: str) -> str:
    """Return the text. Raises ArgumentTypeError for a regular expression, which would find nothing."""
    if _EXPRESSION.search(text):
        raise argparse.ArgumentTypeError(
            f"{text!r}: --grep takes plain text. Use --contains for this very text, or "
            "amllog query 'traces | where message matches regex \"…\"'"
        )
    return text


def line_count(text: str) -> int:
    """Return a number of lines. Raises ArgumentTypeError if it is no number, or 0."""
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r}: expected a number of lines, 1 or more")
    return int(text)


def seconds(text: str) -> float:
    """Parse an option in seconds. Raises ArgumentTypeError, which argparse reports as wrong usage."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 < value <= 86_400:
        raise argparse.ArgumentTypeError(f"{text!r}: expected a number of seconds above 0 and up to 86400")
    return value
