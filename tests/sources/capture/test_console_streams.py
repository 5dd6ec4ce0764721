"""Streams that are the driver log, and streams that are not."""

from __future__ import annotations

import codecs
import io
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from amllog.sources.capture import console_streams


class Own:
    """A stream of a script."""

    def write(self, string: str) -> None:
        """Write nowhere."""


def test_the_streams_of_sys(monkeypatch: pytest.MonkeyPatch) -> None:
    """The present stdout and stderr, and those of Python's start, are the driver log, whatever they are."""
    replaced = io.StringIO()
    assert console_streams.is_console(replaced) is False
    monkeypatch.setattr(sys, "stdout", replaced)
    assert console_streams.is_console(replaced) is True
    monkeypatch.delattr(sys, "stderr")
    assert [console_streams.is_console(stream) for stream in (sys.__stdout__, sys.__stderr__)] == [True, True]
    assert console_streams.is_console(None) is False


def test_files(tmp_path: Path, capfd: Any) -> None:
    """A file is the driver log by its descriptor, or by its device and inode. /dev/null is not."""
    copy = os.dup(2)
    with (
        open(1, "w", closefd=False) as descriptor,
        open(copy, "wb", buffering=0) as copied,
        open(tmp_path / "file", "w") as file,
        open(os.devnull, "w") as null,
    ):
        writer = codecs.getwriter("utf-8")(io.BytesIO())
        console = codecs.getwriter("utf-8")(descriptor.buffer)
        streams = [descriptor, descriptor.buffer, copied, console, file, null, writer]
        assert [console_streams.is_console(stream) for stream in streams] == [True] * 4 + [False] * 3
    assert console_streams.is_console(file) is False  # closed


@pytest.mark.skipif(not os.path.exists("/dev/stdout"), reason="the system has no such file")
def test_paths(tmp_path: Path, capfd: Any) -> None:
    """A path is the driver log if it leads to the same file."""
    paths: list[Any] = ["/dev/stdout", "/dev/stderr", str(tmp_path / "missing"), os.devnull, None, object()]
    assert [console_streams.is_console_path(path) for path in paths] == [True, True] + [False] * 4


def test_classes_of_a_script() -> None:
    """The class of a script's own stream does not show where it writes."""
    assert console_streams.is_console(Own()) is None
    assert console_streams.is_console(type("Text", (io.StringIO,), {})()) is None
