"""The mark of recorded exceptions."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest

from amllog.record.recorded_mark import is_recorded, mark_recorded


class Strict(Exception):
    """An exception that forbids new attributes."""

    __slots__ = ()

    def __setattr__(self, name: str, value: object) -> None:
        raise ZeroDivisionError

    def __getattribute__(self, name: str) -> Any:
        raise ZeroDivisionError


@pytest.mark.parametrize("kind", [ValueError, OSError, KeyboardInterrupt, Strict])
def test_mark(kind: type[BaseException]) -> None:
    """Any exception can be marked, without a call of its methods."""
    error = kind("x")
    assert not is_recorded(error)
    mark_recorded(error)
    assert is_recorded(error)


def test_a_copy_is_another_exception() -> None:
    """A copy is not recorded, also one that was pickled."""
    error = ValueError("x")
    mark_recorded(error)
    assert not is_recorded(copy.copy(error)) and not is_recorded(pickle.loads(pickle.dumps(error)))
