"""Convert documents and figures to the bytes of artifacts."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Mapping, Set
from typing import Any

from amllog.errors import MetricError
from amllog.process import interrupts
from amllog.record import text


def json_document(name: str, value: object) -> bytes:
    """Return a document, for example a confusion matrix, as strict JSON. It is a dict or a string of JSON."""
    if isinstance(value, (str, bytes)):
        try:
            value = json.loads(value)
        except ValueError as error:
            interrupts.pass_on(error)
            raise MetricError(f"{name}: the string is not valid JSON: {error}") from error
    if not isinstance(value, Mapping):
        raise MetricError(f"{name}: takes a dict or a string of JSON, got {type(value).__name__}")
    return json.dumps(_strict(value), ensure_ascii=False, allow_nan=False).encode("utf-8", "backslashreplace")


def png_image(name: str, plot: Any) -> bytes:
    """Return a figure of matplotlib, or pyplot itself, as PNG."""
    if not hasattr(plot, "savefig"):
        raise MetricError(f"{name}: log_image's plot is a matplotlib figure, got {type(plot).__name__}")
    image = io.BytesIO()
    plot.savefig(image, format="png")
    return image.getvalue()


def _strict(value: Any) -> object:
    """Return plain JSON of any depth. numpy arrays become lists, NaN and infinities become null."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, Mapping):
        return {text.to_text(key): _strict(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, Set)):
        return [_strict(item) for item in value]
    if (number := text.to_number(value)) is not None:
        return number if math.isfinite(number) else None
    return None if value is None else text.to_text(value)
