"""The format of `key=value` pairs and levels in lines of text.

The driver log and the reports of the reading side use the same format, so that a line reads alike in both.
"""

from __future__ import annotations

import json
import re

from amllog.record.text import escape_controls

LEVEL_NAMES = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")  # by severityLevel, 0 to 4
# ANSI codes of the colours by the lowest level that has them: red, yellow, green and blue.
LEVEL_COLOURS = {50: "1;31", 40: "31", 30: "33", 20: "32", 10: "34"}
_DELIMITERS = re.compile(r"[ \t\n\r\"'=]")


def quoted_value(value: str) -> str:
    """Return a value for the place after `key=`, on one line and with control characters escaped.

    The value is in double quotes if a reader could not see where it ends.
    """
    if not value or _DELIMITERS.search(value):
        value = json.dumps(value, ensure_ascii=False)
    return value if value.isprintable() else escape_controls(value)
