"""Hooks in the dictionary of a module: what Python calls, and what programs see."""

from __future__ import annotations

import copy
import importlib
import inspect
import operator
import pickle
import sys
import threading
import types
from collections.abc import Iterator
from types import ModuleType
from typing import Any
from unittest import mock

import pytest

from amllog.process.module_hooks import ModuleHook


@pytest.fixture
def calls() -> list[str]:
    """Return the calls of hooks, in order."""
    return []


@pytest.fixture
def hook(calls: list[str]) -> Iterator[ModuleHook]:
    """Put a hook around the excepthook of a module, which is not the real one of this process."""
    module = ModuleType("hooked")
    module.excepthook = lambda: calls.append("first")  # type: ignore[attr-defined]

    def ours() -> None:
        calls.append("ours")
        if hook.before is not None:
            hook.before()

    hook = ModuleHook(module, "excepthook", ours)
    hook.put()
    yield hook
    hook.remove()


def called(hook: ModuleHook) -> Any:
    """Return what Python calls."""
    return vars(hook._module)["excepthook"]


def test_programs_replace_and_chain(hook: ModuleHook, calls: list[str]) -> None:
    """Ours is called first, whatever a program sets. A program never gets ours."""
    module: Any = hook._module
    first = module.excepthook
    called(hook)()
    assert calls == ["ours", "first"]

    def theirs() -> None:
        calls.append("theirs")
        first()

    module.excepthook = theirs
    calls.clear()
    called(hook)()
    assert (calls, module.excepthook) == (["ours", "theirs", "first"], theirs)
    hook.remove()
    assert (called(hook), module.excepthook, type(module)) == (theirs, theirs, ModuleType)


def test_put_and_remove_can_be_repeated(hook: ModuleHook, calls: list[str]) -> None:
    """Each of both has its effect once, in any order."""
    module: Any = hook._module
    hook.put()
    called(hook)()
    hook.remove()
    hook.remove()
    module.excepthook()
    hook.put()
    called(hook)()
    assert calls == ["ours", "first", "first", "ours", "first"]


def test_a_second_hook_of_ours(hook: ModuleHook, calls: list[str]) -> None:
    """The hook of a later session calls the program's hook, not the former one of ours."""
    hook.remove()
    again = ModuleHook(hook._module, "excepthook", lambda: (calls.append("again"), again.before()))
    again.put()
    called(hook)()
    again.remove()
    assert calls == ["again", "first"]


@pytest.mark.parametrize("value", [None, 5])
def test_hooks_that_cannot_be_called(hook: ModuleHook, value: object) -> None:
    """Python sees them, and prints its own message."""
    module: Any = hook._module
    module.excepthook = value
    assert called(hook) is module.excepthook is value
    del module.excepthook
    assert not hasattr(module, "excepthook") and "excepthook" not in vars(module) and hook.before is None
    with pytest.raises(AttributeError, match="module 'hooked' has no attribute 'excepthook'"):
        del module.excepthook
    module.excepthook = calls_nothing
    assert called(hook) is hook._ours


def calls_nothing() -> None:
    """Do nothing, as the hook of a program."""


def test_mock(hook: ModuleHook) -> None:
    """unittest.mock reads the dictionary and restores what it finds there. Nested patches are restored as well."""
    module: Any = hook._module
    first = module.excepthook
    with mock.patch.object(module, "excepthook") as one:
        with mock.patch.object(module, "excepthook", calls_nothing):
            assert module.excepthook is calls_nothing and called(hook) is hook._ours
        assert module.excepthook is one
    assert module.excepthook is first and called(hook) is hook._ours


def test_a_program_writes_to_the_dictionary(hook: ModuleHook) -> None:
    """What a program has written to the dictionary stays after remove()."""
    vars(hook._module)["excepthook"] = calls_nothing
    hook.remove()
    assert called(hook) is calls_nothing


def test_a_class_of_another_program(hook: ModuleHook, calls: list[str]) -> None:
    """A program may derive a class from that of the module. remove() works below it."""
    module: Any = hook._module
    derived: Any = types.new_class("Derived", (type(module),))
    module.__class__ = derived
    assert isinstance(module, derived) and not isinstance(sys, derived) and derived != ModuleType
    hook.remove()
    assert type(module) is derived and "excepthook" in vars(module)
    module.excepthook()
    assert calls == ["first"]


def test_the_class_looks_like_that_of_modules(hook: ModuleHook) -> None:
    """Code that compares, copies or makes modules by the class of one of them works as before."""
    module: Any = hook._module
    kind = type(module)
    assert (repr(kind), repr(module)) == ("<class 'module'>", "<module 'hooked'>")
    assert operator.eq(kind, ModuleType) and operator.eq(ModuleType, kind) and hash(kind) == hash(ModuleType)
    assert isinstance(module, ModuleType) and isinstance(threading, kind) and inspect.ismodule(module)
    assert issubclass(ModuleType, kind) and type(kind("new")) is ModuleType and {ModuleType: 1}[kind] == 1
    with pytest.raises(TypeError, match="cannot pickle 'module' object"):
        pickle.dumps(module)
    with pytest.raises(TypeError, match="cannot pickle 'module' object"):
        copy.deepcopy(module)
    with pytest.raises(AttributeError, match="module 'hooked' has no attribute 'missing'"):
        _ = module.missing
    assert operator.ne(kind, int) and operator.ne(kind, ModuleHook)


def test_reads_that_the_interpreter_has_optimized(hook: ModuleHook) -> None:
    """A place in the code that has read the attribute often reads the hook of the program, and never ours."""
    module: Any = hook._module

    def read() -> Any:
        return module.excepthook

    hook.remove()
    first = {id(read()) for _ in range(5000)}
    hook.put()
    assert {id(read()) for _ in range(5000)} == first
    module.excepthook = calls_nothing
    assert {read() for _ in range(5000)} == {calls_nothing}


def test_reads_of_other_threads() -> None:
    """While hooks of sys are put and removed, other threads read the hook of the program."""
    seen: set[object] = set()
    over = threading.Event()

    def read() -> None:
        while not over.is_set():
            seen.add(sys.excepthook)

    hook = ModuleHook(sys, "excepthook", calls_nothing)
    before = sys.excepthook
    threads = [threading.Thread(target=read) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(300):
            hook.put()
            importlib.import_module("decimal")
            hook.remove()
    finally:
        over.set()
        for thread in threads:
            thread.join()
    assert seen == {before} and sys.excepthook is before and type(sys) is ModuleType
