"""`amllog run`: a script as Python would run it, under `setup()`.

In: a script or a module with its arguments. Out: the script's own exit; one that is not 0 makes its step unsuccessful.
"""

from __future__ import annotations

import builtins
import os
import runpy
import sys
import types
from collections.abc import Sequence
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import TracebackType

from amllog.config import user_path
from amllog.errors import UsageError
from amllog.process import exits
from amllog.record.text import escape_controls
from amllog.session import api

_OWN = (__file__, runpy.__file__)


def run(target: str, arguments: Sequence[str], *, is_module: bool) -> None:
    """Run it to its end; leaves by SystemExit where the script does, or after an uncaught exception."""
    if is_module and escape_controls(target) != target:  # Python would print it as it is
        raise UsageError(f"there is no module {target}")
    if not is_module and not user_path.is_file(Path(target)):
        raise UsageError(f"there is no script {target} in {Path.cwd()}; for a module: amllog run -m {target}")
    sys.argv = [target, *arguments]
    _put_first(str(Path.cwd() if is_module else Path(target).resolve().parent))
    api.setup()
    try:
        if is_module:
            runpy.run_module(target, run_name="__main__", alter_sys=True)
        else:
            _run_script(os.path.abspath(target))
    except SystemExit as stop:
        code = exits.exit_code(stop.code)
        if code:
            api.session().fail(f"exit code {code}")
        raise
    except Exception as error:
        error.__traceback__ = _without_us(error.__traceback__)
        sys.excepthook(type(error), error, error.__traceback__)
        raise SystemExit(1) from None


def _run_script(path: str) -> None:
    """The file as `__main__`, which stays so to the end of the process: threads and pickles look there."""
    module = types.ModuleType("__main__")
    module.__dict__.update(
        __file__=path, __builtins__=builtins, __loader__=SourceFileLoader("__main__", path), __cached__=None
    )
    sys.modules["__main__"] = module
    exec(compile(Path(path).read_bytes(), path, "exec", dont_inherit=True), module.__dict__)


def _put_first(folder: str) -> None:
    """The script's folder (or the working one) where Python puts it, in place of ours."""
    if getattr(sys.flags, "safe_path", False):
        return
    sys.path[0] = folder


def _without_us(trace: TracebackType | None) -> TracebackType | None:
    """The traceback from the script's first line on, as without amllog."""
    while trace is not None and (
        trace.tb_frame.f_code.co_filename in _OWN or trace.tb_frame.f_code.co_filename.startswith("<frozen")
    ):
        trace = trace.tb_next
    return trace
