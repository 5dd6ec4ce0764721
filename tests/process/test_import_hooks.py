"""The call after the import of a module."""

from __future__ import annotations

import copy
import importlib
import importlib.util
import pkgutil
import sys
from collections.abc import Iterator
from importlib.machinery import SourceFileLoader
from pathlib import Path

import pytest

from amllog.process.import_hooks import AfterImport


class SearchingFinder:
    """A finder that searches with all finders, as wrapt's does."""

    def find_spec(self, name: str, path: object, target: object = None) -> object:
        """Return the spec that the other finders return."""
        if name != "imported_module" or self in SEARCHING:
            return None
        SEARCHING.append(self)
        try:
            return importlib.util.find_spec(name)
        finally:
            SEARCHING.remove(self)


SEARCHING: list[object] = []


@pytest.fixture
def imported_module(tmp_path: Path) -> Iterator[str]:
    """The name of a module that can be imported during the test."""
    (tmp_path / "imported_module.py").write_text("value = 1\n")
    before, known = list(sys.path), list(sys.meta_path)
    sys.path.insert(0, str(tmp_path))
    importlib.invalidate_caches()
    try:
        yield "imported_module"
    finally:
        sys.path[:] = before
        sys.meta_path[:] = known
        sys.modules.pop("imported_module", None)


@pytest.mark.parametrize("with_other", [False, True])
def test_after_import(imported_module: str, with_other: bool) -> None:
    """Each import calls back once, also beside a finder that calls all finders, and the real loader is restored."""
    calls: list[int] = []
    watch = AfterImport(imported_module, lambda: calls.append(sys.modules[imported_module].value))
    before = list(sys.meta_path)
    watch.put()
    if with_other:
        sys.meta_path.insert(0, SearchingFinder())
    module = importlib.import_module(imported_module)
    assert (calls, type(module.__loader__), type(module.__spec__.loader)) == ([1], *[SourceFileLoader] * 2)
    importlib.import_module(imported_module)
    assert calls == [1]
    del sys.modules[imported_module]
    importlib.import_module(imported_module)
    assert calls == [1, 1]
    watch.remove()
    watch.remove()
    assert [finder for finder in sys.meta_path if not isinstance(finder, SearchingFinder)] == before


def test_a_search_without_an_import(imported_module: str) -> None:
    """`find_spec` alone calls nothing back, and its loader reads the module as the real one does."""
    calls: list[int] = []
    watch = AfterImport(imported_module, lambda: calls.append(1))
    watch.put()
    try:
        spec = importlib.util.find_spec(imported_module)
        assert spec.loader.get_source(imported_module) == "value = 1\n"
        assert (calls, copy.copy(spec.loader).name, hasattr(spec.loader, "missing")) == (
            [],
            imported_module,
            False,
        )
        assert pkgutil.get_data(imported_module, "imported_module.py") == b"value = 1\n"
        assert calls == [1]
    finally:
        watch.remove()


def test_two_callbacks_of_one_import(imported_module: str) -> None:
    """Both are called, and the removal of one keeps the other."""
    calls: list[str] = []
    first, second = (AfterImport(imported_module, lambda name=name: calls.append(name)) for name in "ab")
    first.put()
    second.put()
    importlib.import_module(imported_module)
    assert calls == ["a", "b"]
    first.remove()
    importlib.reload(sys.modules[imported_module])
    second.remove()
    assert calls == ["a", "b", "b"]


def test_a_module_that_cannot_be_found() -> None:
    """The import of a watched module that is not installed fails as usual."""
    watch = AfterImport("module_that_is_not_installed", lambda: None)
    watch.put()
    try:
        with pytest.raises(ModuleNotFoundError):
            importlib.import_module("module_that_is_not_installed")
    finally:
        watch.remove()
