"""Determine whether a stream is the driver log, which is the stdout and stderr of the process.

Many objects stand for it: the four names in `sys`, a file with the same descriptor, device and inode, and wrappers.
"""

from __future__ import annotations

import codecs
import io
import os
import sys
from typing import Any

from amllog.process import interrupts

NAMES = ("stdout", "stderr", "__stdout__", "__stderr__")  # a script may have deleted one of them
_FILES = (io.TextIOWrapper, io.BufferedWriter, io.BufferedRandom, io.FileIO)
# Of wrappers around wrappers.
_MAX_DEPTH = 4


def is_standard(stream: object) -> bool:
    """Return whether a stream is one that Python or the script has put in place of stdout and stderr."""
    named = sys.__dict__
    for name in NAMES:
        if name in named and named[name] is stream:
            return stream is not None
    return False


def is_console(stream: Any) -> bool | None:
    """Return whether a stream writes to the driver log, or None if its class does not show that."""
    for _ in range(_MAX_DEPTH):
        if stream is None:
            return False
        if is_standard(stream):
            return True
        kind = type(stream)  # not isinstance, which calls the code of a proxy
        if issubclass(kind, (codecs.StreamWriter, codecs.StreamReaderWriter)):
            stream = stream.stream
        elif kind.__module__.startswith("amllog."):
            stream = stream.amllog_beneath
        elif kind in (io.StringIO, io.BytesIO):
            return False
        else:
            return _is_standard_file(stream) if issubclass(kind, _FILES) else None
    return None


def is_console_path(path: object) -> bool:
    """Return whether a file that is not open yet is the driver log, as `/dev/stdout` is."""
    with interrupts.suppress(OSError, ValueError, TypeError):
        return _is_standard_status(os.stat(path))  # type: ignore[arg-type]  # any object of a script
    return False


def _is_standard_file(stream: Any) -> bool:
    """Return whether an open file is that of the descriptor 1 or 2."""
    with interrupts.suppress(OSError, ValueError, AttributeError):  # without a descriptor, or closed
        descriptor = stream.fileno()
        return descriptor in (1, 2) or _is_standard_status(os.fstat(descriptor))
    return False


def _is_standard_status(status: os.stat_result) -> bool:
    for standard in (1, 2):
        with interrupts.suppress(OSError):
            if os.path.samestat(status, os.fstat(standard)):
                return not os.path.samestat(status, os.stat(os.devnull))
    return False
