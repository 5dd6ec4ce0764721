"""Convert keys and values of a caller to dimensions: masked strings within the limits of the service.

The functions accept mappings with any objects and never raise.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from amllog.process import interrupts
from amllog.record import envelope, text
from amllog.record.redaction import Redactor
from amllog.record.secrets.provider_secrets import MASK

_KEYS = frozenset(("key", "Key", "KEY"))  # ambiguous names: their value is a secret if it looks random
_PLAIN = (int, float, bool, type(None))  # types whose string contains no secret
# The string of a smaller integer fits and cannot fail. Most dimensions are counts and steps.
_MAX_SHORT = 10**18


def to_dimensions(values: Mapping[Any, object], redactor: Redactor) -> dict[str, str]:
    """Return dimensions as masked strings within the limits."""
    dimensions: dict[str, str] = {}
    add_dimensions(dimensions, values, redactor)
    return dimensions


def add_dimensions(dimensions: dict[str, str], values: Mapping[Any, object], redactor: Redactor) -> None:
    """Convert the keys and values of `values`, and add them to `dimensions`."""
    known = redactor.masked_keys
    for name, value in values.items():
        key = name if type(name) is str else text.to_text(name)
        if not 0 < len(key) <= envelope.MAX_KEY:
            key = redactor.mask_and_truncate(key, envelope.MAX_KEY) or envelope.EMPTY
        shown, secret = known.get(key) or redactor.mask_key(key)
        kind = type(value)
        if (secret or key in _KEYS) and redactor.is_secret(key, value):
            dimensions[shown] = MASK
        elif kind is str:
            dimensions[shown] = redactor.mask_and_truncate(value, envelope.MAX_VALUE)  # type: ignore[arg-type]  # a str
        elif kind is int and -_MAX_SHORT < value < _MAX_SHORT:  # type: ignore[operator]  # an int
            dimensions[shown] = str(value)
        elif kind in _PLAIN:
            plain = text.to_text(value)
            fits = len(plain) <= envelope.MAX_VALUE
            dimensions[shown] = plain if fits else text.truncate(plain, envelope.MAX_VALUE)
        else:
            dimensions[shown] = redactor.mask_and_truncate(redactor.to_text(value), envelope.MAX_VALUE)


def remask_dimensions(dimensions: Mapping[str, str], redactor: Redactor) -> dict[str, str]:
    """Return dimensions that were masked by another redactor, masked again, also inside values that are JSON."""
    remasked: dict[str, str] = {}
    for key, value in dimensions.items():
        add_dimensions(remasked, {key: _remask_json(value, redactor)}, redactor)
    return remasked


def _remask_json(value: str, redactor: Redactor) -> str:
    if not value.startswith(("{", "[")):
        return value
    try:
        data = json.loads(value)
    except (ValueError, RecursionError) as error:  # not JSON, or truncated JSON
        interrupts.pass_on(error)
        return value
    is_table = isinstance(data, dict) and "columns" in data and "rows" in data
    return json.dumps(
        redactor.mask_metric_table(data) if is_table else redactor.mask_values(data), ensure_ascii=False
    )
