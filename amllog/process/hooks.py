"""Replaces and restores attributes of Python and levels of loggers, and notices the reload of a module.

In: an owner and a replacement; a module's name and what to do after its reload. Out: the same Python as before, once
`remove()` is called, unless somebody has put another hook over ours meanwhile.
"""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable, Sequence
from importlib.abc import Loader
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any


class Hook:
    """One replaced attribute. `put()` replaces it; `remove()` restores it unless somebody has replaced ours."""

    def __init__(self, owner: Any, name: str, replacement: Any) -> None:
        self._owner, self._name, self._ours = owner, name, replacement
        self.before = getattr(owner, name)

    @property
    def is_on_top(self) -> bool:
        """Whether the attribute is our replacement."""
        return getattr(self._owner, self._name) is self._ours

    def put(self) -> None:
        """Replace the attribute."""
        setattr(self._owner, self._name, self._ours)

    def remove(self) -> None:
        """Restore the attribute."""
        if self.is_on_top:
            setattr(self._owner, self._name, self.before)


class Hooks:
    """Hooks that are put and removed together, in any state that a signal leaves them in."""

    def __init__(self) -> None:
        self._hooks: list[Hook | AfterReload] = []

    def put(self, hook: Hook | AfterReload) -> None:
        """Remember a hook, then put it: whatever is put can be removed."""
        self._hooks.append(hook)
        hook.put()

    def remove(self) -> None:
        """Remove all of them, the last one first."""
        while self._hooks:
            self._hooks[-1].remove()
            self._hooks.pop()


class Chain:
    """Calls of our hooks that pass on an event now, by thread.

    A script may wrap a hook of ours, and have a later one of ours put over its own: an event then passes both.
    """

    def __init__(self) -> None:
        # By thread, and by identity: an exception may compare as it likes.
        self._events: dict[tuple[int, int], object] = {}

    def run(self, event: object, record: Callable[[], object], pass_on: Callable[[], object]) -> None:
        """Call `record` and `pass_on`. Only `pass_on` if another hook of ours passes this event on already.

        `pass_on` is called also if `record` raises.
        """
        key, call = (threading.get_ident(), id(event)), object()
        is_first = self._events.setdefault(key, call) is call
        try:
            if is_first:
                record()
        finally:
            try:
                pass_on()
            finally:
                if is_first:
                    self._events.pop(key, None)


class AfterReload:
    """Calls `then` after each `importlib.reload` of one module, by whatever name the script holds that function.

    importlib asks the finders on `sys.meta_path` for a module anew when it reloads it, and only then names a target.
    """

    def __init__(self, name: str, then: Callable[[], None]) -> None:
        self._name, self._then = name, then

    def put(self) -> None:
        """Begin."""
        sys.meta_path.insert(0, self)

    def remove(self) -> None:
        """Notice no more."""
        if self in sys.meta_path:
            sys.meta_path.remove(self)

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Python's own spec of the module that is reloaded, with a loader that calls us when it is done."""
        if name != self._name or target is None:
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader, self._then)
        return spec


class _Loader(Loader):
    """A loader that steps aside once it has loaded."""

    def __init__(self, real: Any, then: Callable[[], None]) -> None:
        self._real, self._then = real, then

    def exec_module(self, module: Any) -> None:
        module.__loader__ = module.__spec__.loader = self._real
        self._real.exec_module(module)
        self._then()


class LoweredLevel(int):
    """The level of a logger that amllog has lowered. By its class it differs from an equal level of the script."""

    before: int

    def __reduce__(self) -> tuple[type[int], tuple[int]]:
        """A copy, also one that is sent to another process, is a number."""
        return int, (int(self),)


def is_lowered(logger: logging.Logger) -> bool:
    """Whether nobody has set the logger's level since amllog has lowered it."""
    return type(logger.level) is LoweredLevel


def lower(logger: logging.Logger, threshold: int) -> None:
    """Lower a logger's level to `threshold`, unless it is lower. Safe to repeat."""
    level = logger.level
    before = level.before if type(level) is LoweredLevel else level
    lowered = LoweredLevel(min(before, threshold))
    lowered.before = before
    logger.setLevel(lowered)


def restore(logger: logging.Logger) -> None:
    """Give a logger the level that it had before, unless the script has set another since."""
    level = logger.level
    if type(level) is LoweredLevel:
        logger.setLevel(level.before)
