"""Call back after the import of a module, whichever finder finds it.

amllog imports no library for a script that does not use it. A library that the script imports after `setup()` is
captured from its import on.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Sequence
from importlib.abc import Loader
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any


class AfterImport:
    """Call `then` after each import of one module, whichever finder finds it.

    `then` is called in the importing thread, before the import returns. An exception that it raises ends the import.
    """

    def __init__(self, name: str, then: Callable[[], None]) -> None:
        self._name, self._then = name, then

    def put(self) -> None:
        """Begin to watch. A module that is imported already is not reported."""
        _IMPORTS.watched.setdefault(self._name, []).append(self._then)
        if _IMPORTS not in sys.meta_path:
            sys.meta_path.insert(0, _IMPORTS)

    def remove(self) -> None:
        """End to watch."""
        callbacks = _IMPORTS.watched.get(self._name, [])
        if self._then in callbacks:
            callbacks.remove(self._then)
        if not callbacks:
            _IMPORTS.watched.pop(self._name, None)
        if not _IMPORTS.watched and _IMPORTS in sys.meta_path:
            sys.meta_path.remove(_IMPORTS)


class _ImportFinder:
    """The one finder of all `AfterImport`. Other imports only cost a search in its dict."""

    def __init__(self) -> None:
        self.watched: dict[str, list[Callable[[], None]]] = {}
        # The searches in progress, by thread and module. Finders such as wrapt's call all finders again.
        self._searches: set[tuple[int, str]] = set()

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the spec that the other finders return, with a loader that calls back after the import."""
        if name not in self.watched:
            return None
        search = (threading.get_ident(), name)
        if search in self._searches:
            return None
        self._searches.add(search)
        try:
            spec = self._find_elsewhere(name, path, target)
        finally:
            self._searches.discard(search)
        if spec is not None and hasattr(spec.loader, "exec_module"):
            spec.loader = _CallingLoader(spec.loader, lambda: self._call_back(name))
        return spec

    def _find_elsewhere(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None
    ) -> ModuleSpec | None:
        for finder in list(sys.meta_path):
            find = getattr(finder, "find_spec", None)
            spec: ModuleSpec | None = (
                find(name, path, target) if find is not None and finder is not self else None
            )
            if spec is not None:
                return spec
        return None

    def _call_back(self, name: str) -> None:
        for then in list(self.watched.get(name, ())):
            then()


_IMPORTS = _ImportFinder()


class _CallingLoader(Loader):
    """A loader that delegates to the real one, restores it in the module, and calls `then`."""

    def __init__(self, real: Any, then: Callable[[], None]) -> None:
        self._real, self._then = real, then

    def __getattr__(self, name: str) -> Any:
        """Return what the real loader has, for callers of `find_spec` that do not import the module."""
        if name in ("_real", "_then"):  # of a copy that is not complete yet
            raise AttributeError(name)
        return getattr(self._real, name)

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        module: ModuleType | None = self._real.create_module(spec)
        return module

    def exec_module(self, module: Any) -> None:
        module.__loader__ = module.__spec__.loader = self._real
        self._real.exec_module(module)
        self._then()
