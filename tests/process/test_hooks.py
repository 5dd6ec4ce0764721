"""Replaced attributes and the detection of reloads."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import SimpleNamespace

from amllog.process.hooks import MISSING, AfterReload, Hook, Hooks


def test_a_hook_restores_its_attribute() -> None:
    """remove() restores the attribute, but not one that was replaced since."""
    owner = SimpleNamespace(name="before")
    hook = Hook(owner, "name", "ours")
    hook.put()
    assert (owner.name, hook.is_on_top, hook.before) == ("ours", True, "before")
    owner.name = "of another program"
    hook.remove()
    assert (owner.name, hook.is_on_top) == ("of another program", False)
    owner.name = "ours"
    hook.remove()
    assert owner.name == "before"


def test_hooks_are_removed_in_reverse_order() -> None:
    """Two hooks on one attribute restore the first state."""
    owner = SimpleNamespace(name="before")
    both = Hooks()
    both.put(Hook(owner, "name", "first"))
    both.put(Hook(owner, "name", "second"))
    assert owner.name == "second"
    both.remove()
    assert owner.name == "before"


def test_after_reload(tmp_path: Path) -> None:
    """A reload calls back, the first import and imports of other modules do not."""
    (tmp_path / "reloaded_module.py").write_text("count = globals().get('count', 0) + 1\n")
    calls: list[int] = []
    finder = AfterReload("reloaded_module", lambda: calls.append(sys.modules["reloaded_module"].count))
    finder.put()
    sys.path.insert(0, str(tmp_path))
    try:
        module = importlib.import_module("reloaded_module")
        assert calls == []
        importlib.reload(module)
        assert calls == [2]
    finally:
        finder.remove()
        finder.remove()
        importlib.reload(module)
        sys.path.remove(str(tmp_path))
        del sys.modules["reloaded_module"]
    assert calls == [2]


def test_a_hook_deletes_an_attribute_that_was_missing() -> None:
    """A name that the owner lacked is deleted again, but not if it was replaced since."""
    owner = SimpleNamespace()
    hook = Hook(owner, "name", "ours")
    hook.put()
    assert (owner.name, hook.before is MISSING) == ("ours", True)
    owner.name = "of another program"
    hook.remove()
    assert owner.name == "of another program"
    owner.name = "ours"
    hook.remove()
    hook.remove()
    assert vars(owner) == {}
