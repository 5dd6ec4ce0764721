"""Locks of whole files: the results of `try_lock` in two processes."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest

from amllog.process.file_lock import try_lock

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no flock")

HELD = """
import os, sys
from amllog.process.file_lock import try_lock
fd = os.open("file", os.O_RDWR)
print(try_lock(fd), try_lock(fd, shared=True))
"""


def test_a_lock_excludes_other_processes(child: Any, tmp_path: Path) -> None:
    """A second process gets False while the file is locked, and True after it was closed."""
    fd = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT)
    assert try_lock(fd) is True
    assert child(HELD).stdout == "False False\n"
    os.close(fd)
    assert child(HELD).stdout == "True True\n"


def test_a_shared_lock_excludes_writers_only(child: Any, tmp_path: Path) -> None:
    """Several readers share a file, and a writer does not get it."""
    fd = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT)
    assert try_lock(fd, shared=True) is True
    assert child(HELD).stdout == "False True\n"
    os.close(fd)


def test_a_file_without_locks(tmp_path: Path) -> None:
    """The result is None if the file system rejects locks. A closed descriptor behaves like this."""
    fd = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT)
    os.close(fd)
    assert try_lock(fd) is None
