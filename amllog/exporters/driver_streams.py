"""Write to the script's stdout, which may be a file, a pipe, a terminal or any object of the script."""

from __future__ import annotations

import io
import os
from typing import Any, TextIO

from amllog.process import interrupts


def drop_buffered(stream: Any, error: Exception) -> None:
    """Drop the buffered text of a pipe without a reader.

    Otherwise Python tries to write it again at exit, and exits with status 120. Only the standard streams are handled,
    because no other descriptor of the script may be replaced, even for a moment.
    """
    if not isinstance(error, BrokenPipeError):
        return
    with interrupts.suppress(OSError, ValueError, AttributeError):
        fd = stream.fileno()
        if fd not in (1, 2):
            return
        with open(os.devnull, "wb") as null:
            saved = os.dup(fd)
            try:
                os.dup2(null.fileno(), fd)
                stream.flush()
            finally:
                os.dup2(saved, fd)
                os.close(saved)


def write_text(stream: TextIO, text: str) -> None:
    """Write and flush a text."""
    try:
        stream.write(text)
    except UnicodeEncodeError:  # characters outside the encoding, for example ASCII, become \uXXXX
        encoding = getattr(stream, "encoding", None) or "ascii"
        stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
    stream.flush()


def is_file(stream: Any) -> bool:
    """Return whether a stream is Python's standard one, on a file, a pipe or a terminal."""
    buffer = getattr(stream, "buffer", None) if type(stream) is io.TextIOWrapper else None
    return type(buffer) is io.BufferedWriter and type(buffer.raw) is io.FileIO


def shows_colour(stream: TextIO) -> bool:
    """Return whether a stream shows colours: a terminal, or a cell of a notebook."""
    isatty = getattr(stream, "isatty", None)
    return type(stream).__module__.startswith("ipykernel") or bool(isatty and isatty())


def is_utf(stream: TextIO) -> bool:
    """Return whether a stream can encode every character."""
    return (getattr(stream, "encoding", None) or "utf-8").lower().startswith("utf")
