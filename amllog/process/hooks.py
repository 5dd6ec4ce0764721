"""Replace and restore attributes of Python modules, and detect the reload of a module.

`remove()` restores the previous state. An attribute that another program has replaced in the meantime stays.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from importlib.abc import Loader
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any, Protocol

# The value of an attribute that the owner of a hook does not have.
MISSING: Any = object()


class Removable(Protocol):
    """A change that is put into effect and removed. Both are safe to repeat."""

    def put(self) -> object:
        """Make the change."""

    def remove(self) -> object:
        """Undo the change."""


class Hook:
    """One replaced attribute. `remove()` restores it unless another program has replaced it since `put()`.

    `before` is MISSING if the owner lacks the attribute. Then, `remove()` deletes it.
    """

    def __init__(self, owner: Any, name: str, replacement: Any) -> None:
        self._owner, self._name, self._ours = owner, name, replacement
        self.before = getattr(owner, name, MISSING)

    @property
    def is_on_top(self) -> bool:
        """Return whether the attribute is our replacement."""
        return getattr(self._owner, self._name, MISSING) is self._ours

    def put(self) -> None:
        """Replace the attribute."""
        setattr(self._owner, self._name, self._ours)

    def remove(self) -> None:
        """Restore the attribute."""
        if self.is_on_top and self.before is MISSING:
            delattr(self._owner, self._name)
        elif self.is_on_top:
            setattr(self._owner, self._name, self.before)


class Hooks:
    """Hooks that are removed together, also if a signal has interrupted `put()`."""

    def __init__(self) -> None:
        self._hooks: list[Any] = []

    def put(self, hook: Any) -> None:
        """Store a hook, then put it, so that each hook that was put can be removed."""
        self._hooks.append(hook)
        hook.put()

    def remove(self) -> None:
        """Remove all hooks, the last one first."""
        while self._hooks:
            self._hooks[-1].remove()
            self._hooks.pop()


class AfterReload:
    """A finder that calls `then` after each `importlib.reload` of one module.

    A replaced `importlib.reload` would miss scripts that have imported that function. importlib calls the finders on
    `sys.meta_path` again when it reloads a module, and passes a target only then.
    """

    def __init__(self, name: str, then: Callable[[], None]) -> None:
        self._name, self._then = name, then

    def put(self) -> None:
        """Insert the finder at the beginning of `sys.meta_path`."""
        sys.meta_path.insert(0, self)

    def remove(self) -> None:
        """Remove the finder."""
        if self in sys.meta_path:
            sys.meta_path.remove(self)

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return Python's spec of a module that is reloaded, with a loader that calls `then` afterwards."""
        if name != self._name or target is None:
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader, self._then)
        return spec


class _Loader(Loader):
    """A loader that delegates to the real one and restores it in the module."""

    def __init__(self, real: Any, then: Callable[[], None]) -> None:
        self._real, self._then = real, then

    def exec_module(self, module: Any) -> None:
        module.__loader__ = module.__spec__.loader = self._real
        self._real.exec_module(module)
        self._then()
