"""Keys and values as people give them → dimensions: masked texts within the service's limits.

In: mappings with anything in them. Out: `dict[str, str]`, never an exception.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from amllog.process import interrupts
from amllog.record import envelope, text
from amllog.record.redaction import Redactor
from amllog.record.secrets.provider_secrets import MASK

_KEYS = frozenset(("key", "Key", "KEY"))  # the name alone says nothing: a value that looks random is a secret
_PLAIN = (int, float, bool, type(None))  # their texts hold no secret
# The text of an integer below it fits and cannot fail. Counts and steps are the usual dimensions.
_MAX_SHORT = 10**18


def to_dimensions(values: Mapping[Any, object], redactor: Redactor) -> dict[str, str]:
    """Dimensions as masked texts within the limits."""
    own: dict[str, str] = {}
    add_dimensions(own, values, redactor)
    return own


def add_dimensions(own: dict[str, str], layer: Mapping[Any, object], redactor: Redactor) -> None:
    """Add a layer's dimensions to `own`."""
    known = redactor.masked_keys
    for name, value in layer.items():
        key = name if type(name) is str else text.to_text(name)
        if not 0 < len(key) <= envelope.MAX_KEY:
            key = redactor.mask_and_truncate(key, envelope.MAX_KEY) or envelope.EMPTY
        shown, secret = known.get(key) or redactor.mask_key(key)
        kind = type(value)
        if (secret or key in _KEYS) and redactor.is_secret(key, value):
            own[shown] = MASK
        elif kind is str:
            own[shown] = redactor.mask_and_truncate(value, envelope.MAX_VALUE)  # type: ignore[arg-type]  # just seen
        elif kind is int and -_MAX_SHORT < value < _MAX_SHORT:  # type: ignore[operator]  # just seen
            own[shown] = str(value)
        elif kind in _PLAIN:
            said = text.to_text(value)
            own[shown] = said if len(said) <= envelope.MAX_VALUE else text.truncate(said, envelope.MAX_VALUE)
        else:
            own[shown] = redactor.mask_and_truncate(redactor.to_text(value), envelope.MAX_VALUE)


def remask_dimensions(own: Mapping[str, str], redactor: Redactor) -> dict[str, str]:
    """Dimensions that were masked before, masked by what `redactor` knows, also inside those that are JSON."""
    found: dict[str, str] = {}
    for key, value in own.items():
        add_dimensions(found, {key: _reread(value, redactor)}, redactor)
    return found


def _reread(value: str, redactor: Redactor) -> str:
    if not value.startswith(("{", "[")):
        return value
    try:
        data = json.loads(value)
    except (ValueError, RecursionError) as error:  # a text that only begins like JSON, or was cut
        interrupts.pass_on(error)
        return value
    cells = isinstance(data, dict) and "columns" in data and "rows" in data
    return json.dumps(
        redactor.mask_metric_table(data) if cells else redactor.mask_values(data), ensure_ascii=False
    )
