"""Record the calls of azureml's offline run, and add the attributes that only its online run has.

Outside a job, `Run.get_context()` returns an `_OfflineRun`, which prints what it would log. Its class is hooked and not
`get_context`, because a script may have taken its run before `setup()`. Each method first calls the one of amllog's
`Run`, then azureml's own, so that the printed lines stay. A call that azureml's class accepts raises nothing because of
amllog. Uploads are only printed. Copies of them would fill the disk of a laptop.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import logging
import sys
from collections.abc import Callable
from typing import Any

from amllog.process.hooks import MISSING, Hook, Hooks
from amllog.process.import_hooks import AfterImport
from amllog.process.interrupts import pass_on
from amllog.record import text
from amllog.sources.recorder import Recorder
from amllog.sources.run.run import Run

MODULE = "azureml.core.run"
# azureml's own: the id of an offline run. Its uploads, which are only printed.
_KEPT = {"id", "upload_file", "upload_files", "upload_folder"}
# Runs of children that are remembered.
_MAX_CHILDREN = 1_000


class OfflineRuns:
    """The hooks over azureml's offline run."""

    def __init__(self, recorder: Recorder, notice: Callable[[str, int], object]) -> None:
        """`notice` prints a message once, on the driver log."""
        self._recorder, self._notice = recorder, notice
        self._hooks, self._watch = Hooks(), Hooks()
        self._class: Any = None
        # amllog's runs of child runs, by the id of azureml's object.
        self._children: dict[str, Run] = {}

    def install(self) -> None:
        """Record from now on, also if azureml is imported later. It may be called again."""
        if self._class is None:
            self._watch.remove()
            self._watch.put(AfterImport(MODULE, lambda: self._recorder.emitter.guarded(self._hook)))
            if MODULE in sys.modules:
                self._hook()

    def remove(self) -> None:
        """Restore azureml's class."""
        self._watch.remove()
        self._hooks.remove()
        self._children.clear()
        self._class = None

    def _hook(self) -> None:
        """Hook the class, unless it is hooked already. A module that is imported again has another one."""
        kind = getattr(
            importlib.import_module(MODULE), "_OfflineRun", None
        )  # waits for an import in progress
        if kind is None or kind is self._class:
            return
        self._class = kind
        for name in dir(Run):
            if name.startswith("_") or name in _KEPT:
                continue
            ours, theirs = inspect.getattr_static(Run, name), inspect.getattr_static(kind, name, MISSING)
            over = self._property(name, ours) if isinstance(ours, property) else self._method(name, theirs)
            self._hooks.put(Hook(kind, name, over))
        self._hooks.put(Hook(kind, "__getattr__", self._getattr()))

    def run_of(self, theirs: Any) -> Run:
        """Return amllog's run for an offline run: that of its child run, otherwise that of the process."""
        return self._children.get(theirs.id) or self._recorder.run

    def _property(self, name: str, ours: property) -> property:
        def get(run: Any) -> Any:
            return getattr(self.run_of(run), name)

        def put(run: Any, value: object) -> None:
            setattr(self.run_of(run), name, value)

        return property(get, put if ours.fset else None, doc=ours.__doc__)

    def _getattr(self) -> Callable[[Any, str], Any]:
        def other(run: Any, name: str) -> Any:
            """Return an attribute that neither class defines. For some of azureml's, it is a method that warns."""
            if name.startswith("_"):
                raise AttributeError(f"{type(run).__name__!r} object has no attribute {name!r}")
            return getattr(self.run_of(run), name)

        return other

    def _method(self, name: str, theirs: Any) -> Callable[..., Any]:
        """Return the method for a name. `theirs` is MISSING if only azureml's online run has it."""
        if theirs is MISSING:

            def call_ours(run: Any, *args: Any, **options: Any) -> Any:
                return getattr(self.run_of(run), name)(*args, **options)

            return functools.wraps(getattr(Run, name))(call_ours)
        if name == "child_run":
            return functools.wraps(theirs)(
                lambda run, *args, **options: self._child(theirs, run, args, options)
            )
        signature = inspect.signature(theirs)

        def call_both(run: Any, *args: Any, **options: Any) -> Any:
            result = None
            try:
                result = getattr(self.run_of(run), name)(*args, **options)
            except Exception as error:  # of the value, or about it: azureml's class accepts any value
                pass_on(error)
                if not _accepts(signature, run, args, options):
                    raise
                reason = text.truncate(text.to_text(error), 200)
                self._notice(
                    f"run.{name}(…) is not recorded: {reason}. In a job, azureml raises here", logging.WARNING
                )
            args, options = _taken(signature, args, options)
            theirs_result = theirs(run, *args, **options)
            return result if theirs_result is None else theirs_result

        return functools.wraps(theirs)(call_both)

    def _child(self, theirs: Any, run: Any, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
        """Return azureml's child run. Its calls are recorded for amllog's child run `<step id>.<name>`."""
        child = theirs(run, *args, **options)
        parent, name = self.run_of(run), args[0] if args else options.get("name")
        if len(self._children) < _MAX_CHILDREN:
            self._recorder.emitter.guarded(
                lambda: self._children.setdefault(child.id, parent.child_run(name))
            )
        return child


def _accepts(signature: inspect.Signature, run: Any, args: tuple[Any, ...], options: dict[str, Any]) -> bool:
    """Return whether azureml's offline method takes these arguments."""
    try:
        signature.bind(run, *args, **options)
    except TypeError as error:
        pass_on(error)
        return False
    return True


def _taken(
    signature: inspect.Signature, args: tuple[Any, ...], options: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return the arguments that azureml's offline method takes. The online one has more, and other names."""
    names = [*signature.parameters][1:]
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in signature.parameters.values()):
        return args, options
    renamed = {"name" if key == "key" and "name" in names else key: value for key, value in options.items()}
    return args[: len(names)], {key: value for key, value in renamed.items() if key in names[len(args) :]}
