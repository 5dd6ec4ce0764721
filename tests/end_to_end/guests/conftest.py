"""The tests of this folder use the real libraries that jobs use beside amllog. `nox -s guests` installs them."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest

HERE = Path(__file__).parent
IS_INSTALLED = find_spec("rich") is not None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip these tests where their libraries are not installed, with the reason in the summary."""
    for item in items:
        if not IS_INSTALLED and HERE in item.path.parents:
            item.add_marker(pytest.mark.skip(reason="it needs the packages of `nox -s guests`"))
