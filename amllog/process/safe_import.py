"""Import libraries in a process with a broken stdout, an unusual `sys.argv` or a deleted working directory.

structlog calls `isatty()` of stdout, opencensus reads `sys.argv[0]`, and the import of namespace packages searches the
working directory on `sys.path`. A library may also be of a version that does not fit its dependencies. Its import may
then raise any exception.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from amllog.process.interrupts import is_from_signal

T = TypeVar("T")


@contextmanager
def ordinary_process() -> Iterator[None]:
    """Set a broken or missing stdout to None and an unusual `sys.argv` to `[""]`, and restore both after the block.

    A deleted working directory is marked as empty for imports.
    """
    missing = [name for name in ("stdin", "stdout", "stderr") if not hasattr(sys, name)]
    for name in missing:
        setattr(sys, name, None)
    stdout, had_arguments, arguments = sys.stdout, hasattr(sys, "argv"), getattr(sys, "argv", None)
    is_ordinary = type(arguments) is list and len(arguments) > 0 and isinstance(arguments[0], str)
    if _is_broken(stdout):
        sys.stdout = None
    if not is_ordinary:
        sys.argv = [""]
    if not _has_working_directory():
        sys.path_importer_cache.setdefault("", None)
    try:
        yield
    finally:
        if getattr(sys, "stdout", None) is None:
            sys.stdout = stdout
        for name in missing:
            if getattr(sys, name, stdout) is None:
                delattr(sys, name)
        if not is_ordinary:
            sys.argv = arguments  # type: ignore[assignment]  # any object of the script
            if not had_arguments:
                del sys.argv


def attempt(work: Callable[[], T], report: Callable[[BaseException], object]) -> T | None:
    """Return the result of `work`, which imports or calls a library. After any error, report it and return None."""
    try:
        with ordinary_process():
            return work()
    except (Exception, SystemExit) as error:  # the library's own code
        if is_from_signal(error):
            raise
        report(error)
        return None


def _is_broken(stdout: object) -> bool:
    try:
        getattr(stdout, "isatty", bool)()
    except Exception as error:  # a stream of the script may raise any exception
        if is_from_signal(error):
            raise
        return True
    return False


def _has_working_directory() -> bool:
    try:
        os.getcwd()
    except OSError as error:
        if is_from_signal(error):
            raise
        return False
    return True
