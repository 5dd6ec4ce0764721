"""Functions that are carried to threads and processes."""

from __future__ import annotations

import pickle
import threading

from amllog.context import current
from amllog.context.carry import CarriedFunction

PREPARED: list[str] = []


def prepare() -> None:
    """Count the preparations in another process."""
    PREPARED.append("prepared")


def show(suffix: str) -> tuple[dict[str, object], str, str, str]:
    """Return the context of the call."""
    return dict(current.dimensions()), current.operation_id(), current.span_id(), suffix


def test_carried_function_keeps_its_context_in_threads() -> None:
    """Each call runs in the context of the creation, in any thread."""
    with current.bound(a=1), current.in_span("s"):
        carried = CarriedFunction(show, ("o", "s"), prepare)
    results: list[object] = []
    threads = [threading.Thread(target=lambda: results.append(carried("x"))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [({"a": 1}, "", "s", "x")] * 2
    assert carried.__name__ == "show"


def test_carried_function_is_restored_below_its_parent() -> None:
    """A pickled function has the bound dimensions and its parent, after `prepare`."""
    PREPARED.clear()
    with current.bound(a=1, b=object):
        carried = CarriedFunction(show, ("o", "s"), prepare)
    dimensions, operation, span, suffix = pickle.loads(pickle.dumps(carried))("x")
    assert (dimensions["a"], operation, span, suffix) == (1, "o", "s", "x")
    assert dimensions["b"] == str(object)
    assert PREPARED == ["prepared"]
    assert dict(current.dimensions()) == {}
