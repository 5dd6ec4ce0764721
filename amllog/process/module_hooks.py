"""Hooks of Python that other programs replace and chain, without a difference for them.

Python reads `sys.excepthook`, `sys.unraisablehook` and `threading.excepthook` from the dictionary of their module.
Programs read and write an attribute. While a session lasts, the dictionary has our hook, and the class of the module
(Python's language reference, 3.3.2.1) has a descriptor with the hook of the programs. Ours is called first, also after
they have set another one, and then it calls theirs. They never get ours, so they cannot chain, compare or restore it.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable
from types import ModuleType
from typing import Any, cast

_MISSING = object()
_OURS = "__amllog_module__"  # an attribute of our classes, and not of those that programs derive from them
_MAX_FORMER = 10  # nested patches of unittest.mock


class ModuleHook:
    """One hook of a module, put and removed like a `Hook`."""

    def __init__(self, module: ModuleType, name: str, ours: Callable[..., object]) -> None:
        self._module, self._name, self._ours = module, name, ours
        self._attribute: _Attribute | None = None

    @property
    def before(self) -> Any:
        """The hook that programs see, which ours calls. None if they have deleted it."""
        theirs = self._attribute.theirs if self._attribute is not None else None
        return theirs if theirs is not _MISSING else None

    def put(self) -> None:
        """Put our hook into the dictionary. Safe to repeat."""
        names, shared = vars(self._module), _shared_class(self._module)
        if self._attribute is None:
            self._attribute = _Attribute(self._name, self._ours, names.get(self._name, _MISSING))
        if vars(shared).get(self._name) is not self._attribute:
            setattr(shared, self._name, self._attribute)
        if callable(self._attribute.theirs):
            names[self._name] = self._ours

    def remove(self) -> None:
        """Put the hook of the programs back into the dictionary."""
        names, attribute = vars(self._module), self._attribute
        if attribute is None:
            return
        if names.get(self._name) is self._ours:  # otherwise a program has written to the dictionary
            names[self._name] = attribute.theirs
        for kind in type(self._module).__mro__:  # other programs may have derived from it
            if vars(kind).get(self._name) is attribute:
                delattr(kind, self._name)
        kind = type(self._module)
        if _OURS in vars(kind) and not any(type(value) is _Attribute for value in vars(kind).values()):
            self._module.__class__ = _plain(kind)
        self._attribute = None


class _Attribute:
    """The attribute of a module as programs see it."""

    def __init__(self, name: str, ours: Callable[..., object], theirs: object) -> None:
        self.name, self.ours, self.theirs = name, ours, theirs
        self._former: deque[object] = deque(maxlen=_MAX_FORMER)

    def __get__(self, module: ModuleType | None, kind: object = None) -> Any:
        if module is None:
            return self
        if self.theirs is _MISSING:
            raise AttributeError(f"module {module.__name__!r} has no attribute {self.name!r}")
        return self.theirs

    def __set__(self, module: ModuleType, hook: object) -> None:
        if hook is not self.ours:
            self._former.append(self.theirs)
        elif self._former:  # unittest.mock has read ours from the dictionary, and restores what was there
            hook = self._former.pop()
        else:
            return
        self.theirs = hook
        # For a hook that cannot be called, Python has its own messages.
        vars(module)[self.name] = self.ours if callable(hook) else hook

    def __delete__(self, module: ModuleType) -> None:
        self.__get__(module)
        self._former.append(self.theirs)
        self.theirs = _MISSING
        vars(module).pop(self.name, None)


class _SharedKind(type):
    """The class of our classes of modules. They equal the class that they derive from.

    So tables of types, as in copyreg and dill, have the same entries for them, and `isinstance(other, type(sys))` is
    true for each module.
    """

    def __eq__(cls, other: object) -> bool:
        return _plain(cls) is _plain(other)

    def __hash__(cls) -> int:
        return type.__hash__(_plain(cls))

    def __instancecheck__(cls, instance: object) -> bool:
        return type.__instancecheck__(_plain(cls), instance)

    def __subclasscheck__(cls, subclass: type) -> bool:
        return type.__subclasscheck__(_plain(cls), subclass)


def _plain(kind: Any) -> Any:
    """Return the class that a class of ours derives from, and another class unchanged."""
    return kind.__bases__[0] if type(kind) is _SharedKind and _OURS in vars(kind) else kind


def _shared_class(module: ModuleType) -> type[ModuleType]:
    """Return the class of a module for descriptors, made at the first call."""
    kind = type(module)
    if _OURS in vars(kind):
        return kind

    def new(cls: type, *arguments: Any, **named: Any) -> ModuleType:
        return kind(*arguments, **named)  # type(sys)(name), as importlib makes modules

    names: dict[str, Any] = {
        _OURS: True,
        "__new__": new,
        "__module__": kind.__module__,
        "__qualname__": kind.__qualname__,
        "__doc__": kind.__doc__,
    }
    if sys.version_info >= (3, 14) and kind is ModuleType:
        # The interpreter reads the attributes of a module from the dictionary, without a look at its class, if the
        # class reads attributes as ModuleType does. These two lines read the same in another way.
        names["__getattribute__"] = object.__getattribute__
        names["__getattr__"] = ModuleType.__getattribute__
    shared = cast("type[ModuleType]", _SharedKind(kind.__name__, (kind,), names))
    module.__class__ = shared
    return shared
