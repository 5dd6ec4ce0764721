"""A function that runs in the context it was wrapped in: in another thread, or in a worker process.

In: a function, and where in the tree it is called from. Out: a callable that can be pickled where the function can.
"""

from __future__ import annotations

import contextvars
import functools
from collections.abc import Callable, Mapping
from typing import Any

from amllog.context import current
from amllog.record.redaction import Redactor

_PLAIN = (str, int, float, bool, type(None))


class CarriedFunction:
    """Calls `function` in a copy of the context that stood where this was made.

    `under` is the (operation id, span id) of that place: another process knows nothing else of it. `prepare` is called
    there before, and must be importable.
    """

    def __init__(
        self, function: Callable[..., Any], under: tuple[str, str], prepare: Callable[[], None]
    ) -> None:
        functools.update_wrapper(self, function)
        self._function, self._under, self._prepare = function, under, prepare
        self._context = contextvars.copy_context()

    def __call__(self, *args: Any, **named: Any) -> Any:
        # A copy each time: one context cannot be entered by two threads at once.
        return self._context.copy().run(self._function, *args, **named)

    def __reduce__(self) -> tuple[Callable[..., CarriedFunction], tuple[Any, ...]]:
        bound = self._context.run(current.dimensions)
        return _arrived, (self._function, _picklable(bound), self._under, self._prepare)


def _arrived(
    function: Callable[..., Any],
    dimensions: Mapping[str, object],
    under: tuple[str, str],
    prepare: Callable[[], None],
) -> CarriedFunction:
    """The same in another process."""
    prepare()
    with current.bound(**dimensions), current.remote_parent(*under):
        return CarriedFunction(function, under, prepare)


def _picklable(dimensions: Mapping[str, object]) -> dict[str, object]:
    """Dimensions as plain values: what is bound must not keep a function from being sent to a worker."""
    redactor = Redactor()
    return {
        key: value if type(value) in _PLAIN else redactor.to_text(value) for key, value in dimensions.items()
    }
