"""A function that runs in the captured context, in another thread or in a worker process.

It carries the bound dimensions and the current span, as a propagator of OpenTelemetry does.
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
    """A callable that calls `function` in a copy of the context in which this object was created.

    It can be pickled if `function` can. `parent` is the (operation id, span id) of that context: in another process,
    only these and the bound dimensions are restored. `prepare` is called there first, with the arguments that
    `carried` returns here. Both must be importable.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        parent: tuple[str, str],
        prepare: Callable[..., object],
        carried: Callable[[], tuple[str, ...]] = tuple,
    ) -> None:
        functools.update_wrapper(self, function)
        self._function, self._parent = function, parent
        self._prepare, self._carried = prepare, carried
        self._context = contextvars.copy_context()

    def __call__(self, *args: Any, **named: Any) -> Any:
        # Each call uses a copy, because two threads cannot enter one context at once.
        return self._context.copy().run(self._function, *args, **named)

    def __reduce__(self) -> tuple[Callable[..., CarriedFunction], tuple[Any, ...]]:
        dimensions = self._context.run(current.dimensions)
        return _unpickled, (
            self._function, _picklable(dimensions), self._parent, self._prepare, self._carried, *self._carried()
        )  # fmt: skip


def _unpickled(
    function: Callable[..., Any],
    dimensions: Mapping[str, object],
    parent: tuple[str, str],
    prepare: Callable[..., object],
    carried: Callable[[], tuple[str, ...]],
    *arguments: str,
) -> CarriedFunction:
    """Return the same function in another process."""
    prepare(*arguments)
    with current.bound(**dimensions), current.remote_parent(*parent):
        return CarriedFunction(function, parent, prepare, carried)


def _picklable(dimensions: Mapping[str, object]) -> dict[str, object]:
    """Return the dimensions as plain values, so that a bound value never prevents pickling of the function."""
    redactor = Redactor()
    return {
        key: value if type(value) in _PLAIN else redactor.to_text(value) for key, value in dimensions.items()
    }
