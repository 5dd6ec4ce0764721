"""Run a script as Python does, after `setup()`.

The script sees the arguments, `__main__` module and `sys.path` that `python script.py` gives it. Its exit code is
kept. A non-zero exit code or an uncaught exception marks the step as failed.
"""

from __future__ import annotations

import builtins
import importlib.util
import os
import runpy
import sys
import types
import zipfile
from argparse import Namespace
from collections.abc import Mapping, Sequence
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import TracebackType

from amllog.cli import entry_script
from amllog.cli.run_target import check_target
from amllog.config import user_path
from amllog.config.variables import LOCAL_AUTHORITIES
from amllog.errors import MissingExtraError, UsageError
from amllog.process import debug_server, exits
from amllog.record.text import escape_controls
from amllog.session import api

_OUR_FILES = (__file__, runpy.__file__)


def run(options: Namespace, environ: Mapping[str, str], *, is_debugged: bool = False) -> int:
    """Run the script of the command line. `is_debugged`: wait for a debugger before.

    Under `amllog serve`, the process trusts its storage in addition to the authorities of the shell.
    """
    if environ.get(LOCAL_AUTHORITIES):
        os.environ["REQUESTS_CA_BUNDLE"] = environ[LOCAL_AUTHORITIES]
    if is_debugged and importlib.util.find_spec("debugpy") is None:
        raise MissingExtraError("debugpy", "debug")
    run_script(options.script, options.args, is_module=options.is_module, is_debugged=is_debugged)
    return 0


def run_script(target: str, arguments: Sequence[str], *, is_module: bool, is_debugged: bool = False) -> None:
    """Run a script or a module. Raises SystemExit if the script does, and after an uncaught exception."""
    if is_module and escape_controls(target) != target:  # Python would print the name unescaped
        raise UsageError(f"there is no module {target}")
    if not is_module:
        check_target(target, arguments)
    is_archive = not is_module and (user_path.is_directory(Path(target)) or zipfile.is_zipfile(target))
    sys.argv = [target, *arguments]
    _set_script_directory(str(Path.cwd() if is_module else Path(target).resolve().parent))
    api.setup()
    try:
        if is_debugged:
            api.debug()
        if is_module:
            runpy.run_module(target, run_name="__main__", alter_sys=True)
        elif is_archive:
            runpy.run_path(target, run_name="__main__")
        else:
            _run_file(os.path.abspath(target))
            _warn_of_uncalled_functions(target)
    except SystemExit as stop:
        code = exits.exit_code(stop.code)
        if code:
            api.session().step.fail(exits.describe(code), exits.cause_of_exit(stop))
        raise
    except (Exception, KeyboardInterrupt) as error:
        error.__traceback__ = _without_our_frames(error.__traceback__)
        if isinstance(error, Exception):
            debug_server.show_exception(error)
        # The hook that Python would call. The attribute of the module is the hook of the script.
        hook = vars(sys).get("excepthook")
        (hook if callable(hook) else sys.__excepthook__)(type(error), error, error.__traceback__)
        is_interruption = isinstance(error, KeyboardInterrupt)
        api.session().step.fail(exits.INTERRUPTED if is_interruption else exits.UNCAUGHT)
        raise SystemExit(130 if is_interruption else 1) from None


def _run_file(path: str) -> None:
    """Run a file as the module `__main__`.

    The module stays in `sys.modules` until the process ends, because threads and pickle look up names in it.
    """
    module = types.ModuleType("__main__")
    module.__dict__.update(
        __file__=path, __builtins__=builtins, __loader__=SourceFileLoader("__main__", path), __cached__=None
    )
    sys.modules["__main__"] = module
    exec(compile(Path(path).read_bytes(), path, "exec", dont_inherit=True), module.__dict__)


def _warn_of_uncalled_functions(script: str) -> None:
    """Record a WARNING if the script defines `init()` and `run()` for ParallelRunStep or an endpoint only."""
    if entry_script.is_uncalled(Path(script).read_bytes()):
        name = Path(script).stem
        api.get_logger("amllog").warning(
            f"{Path(script).name} defines init() and run(), and nothing called them: ParallelRunStep or an endpoint "
            f"does. To try them: python -c 'import {name}; {name}.init(); print({name}.run([…]))'"
        )


def _set_script_directory(directory: str) -> None:
    """Replace our directory in `sys.path` with the script's, or with the working directory for a module."""
    if getattr(sys.flags, "safe_path", False):
        return
    sys.path[0] = directory


def _without_our_frames(trace: TracebackType | None) -> TracebackType | None:
    """Return the traceback from the script's first line on, as Python prints it without amllog."""
    while trace is not None and (
        trace.tb_frame.f_code.co_filename in _OUR_FILES
        or trace.tb_frame.f_code.co_filename.startswith("<frozen")
    ):
        trace = trace.tb_next
    return trace
