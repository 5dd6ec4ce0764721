"""Write one value of an answer: on one line, as JSON, and as a value of Arrow."""

from __future__ import annotations

import json
import math
from datetime import datetime, timedelta
from typing import Any

from amllog.insights.query import cell_types

MAX_CELL_CHARACTERS = 60  # in repr and HTML, with a mark for the rest


def shown(value: object) -> str:
    """Return a value on one line, of at most `MAX_CELL_CHARACTERS`."""
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M:%S.%f")[:-3] + "Z"
    if isinstance(value, timedelta):
        return cell_types.duration_text(value)
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, dict):
        value = " ".join(f"{key}={item}" for key, item in value.items())
    if isinstance(value, list):
        value = json.dumps(value, ensure_ascii=False, default=str)
    text = "".join(character if character.isprintable() else " " for character in str(value))
    return text if len(text) <= MAX_CELL_CHARACTERS else text[: MAX_CELL_CHARACTERS - 1] + "…"


def json_value(value: Any) -> Any:
    """Return a value that JSON can represent."""
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    if isinstance(value, timedelta):
        return cell_types.duration_text(value)
    if isinstance(value, float) and not math.isfinite(value):
        return cell_types.float_name(value)
    return value


def arrow_value(value: Any, type_: str) -> Any:
    """Return a value of a column as Arrow has it: pairs for a map, JSON for a dynamic value."""
    if type_ == "dynamic" and value is not None:
        return json.dumps(value, ensure_ascii=False, default=str)
    return list(value.items()) if isinstance(value, dict) else value
