"""Lets libraries be imported in an odd process: they ask stdout, `sys.argv` and the working directory something."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from amllog.process.interrupts import is_from_signal


@contextmanager
def ordinary_process() -> Iterator[None]:
    """Within the block, a broken or missing stdout is None and an odd `sys.argv` is `[""]`. Both are put back later.

    structlog asks stdout whether it is a terminal; opencensus reads `sys.argv[0]`. Where the working directory was
    deleted, namespace packages look for it on `sys.path`: they then find that nothing is there.
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
            sys.argv = arguments  # type: ignore[assignment]  # whatever the script has put there
            if not had_arguments:
                del sys.argv


def _is_broken(stdout: object) -> bool:
    try:
        getattr(stdout, "isatty", bool)()
    except Exception as error:  # whatever an odd stream raises: it is the script's, and stays as it is
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
