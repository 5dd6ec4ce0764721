"""The bytes of documents and figures."""

from __future__ import annotations

import json
from typing import Any

import pytest

from amllog.errors import MetricError
from amllog.exporters.run_metrics import artifact_contents


@pytest.mark.parametrize(
    "value", [{"a": [1, float("nan")], 2: (True, None)}, '{"a": [1, NaN], "2": [true, null]}']
)
def test_document_is_strict_json(value: object) -> None:
    """A dict and a string of JSON become strict JSON, with null for NaN."""
    assert json.loads(artifact_contents.json_document("m", value)) == {"a": [1, None], "2": [True, None]}


@pytest.mark.parametrize("value", ["{", "[]", 3, None])
def test_invalid_document(value: object) -> None:
    """Any other value raises an error with the name of the metric."""
    with pytest.raises(MetricError, match=r"^m: "):
        artifact_contents.json_document("m", value)


def test_image_needs_a_figure() -> None:
    """Any object with `savefig` is a figure, and other objects raise an error."""

    class Figure:
        def savefig(self, file: Any, format: str) -> None:
            file.write(format.encode())

    assert artifact_contents.png_image("i", Figure()) == b"png"
    with pytest.raises(MetricError, match="got int"):
        artifact_contents.png_image("i", 3)
