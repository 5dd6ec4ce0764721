"""Marks and identities of open files: a closed or reused descriptor is recognized."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from amllog.process import descriptors


def open_file(path: Path) -> int:
    """Return a descriptor of a new file."""
    return os.open(path, os.O_RDWR | os.O_CREAT, 0o600)


@pytest.mark.skipif(sys.platform != "linux", reason="marks exist on Linux only")
def test_a_mark_belongs_to_the_open_file(tmp_path: Path) -> None:
    """A duplicate of a descriptor has its mark, and another file under the same number does not."""
    fd = open_file(tmp_path / "a")
    mark = descriptors.set_mark(fd)
    duplicate = os.dup(fd)
    assert mark and descriptors.fcntl(duplicate, descriptors.F_GETSIG) == mark
    os.close(fd)
    other = open_file(tmp_path / "b")
    assert other == fd and descriptors.fcntl(other, descriptors.F_GETSIG) != mark
    os.close(other)
    descriptors.remove_mark(duplicate, mark + 1)
    assert descriptors.fcntl(duplicate, descriptors.F_GETSIG) == mark
    descriptors.remove_mark(duplicate, mark)
    assert descriptors.fcntl(duplicate, descriptors.F_GETSIG) == 0
    os.close(duplicate)


def test_a_closed_descriptor() -> None:
    """A closed descriptor gets no mark and is not the same file."""
    reader, writer = os.pipe()
    identity = descriptors.read_identity(reader)
    os.close(reader)
    os.close(writer)
    assert descriptors.set_mark(reader) == 0
    descriptors.remove_mark(reader, 4)
    assert not descriptors.is_same(reader, identity)
    assert not descriptors.is_same(-1, identity)


def test_close_if_same(tmp_path: Path) -> None:
    """A descriptor is closed only while it refers to its file."""
    fd = open_file(tmp_path / "a")
    identity = descriptors.read_identity(fd)
    os.close(fd)
    other = open_file(tmp_path / "b")
    assert other == fd
    descriptors.close_if_same(fd, identity)
    assert descriptors.is_same(other, descriptors.read_identity(other))
    descriptors.close_if_same(other, descriptors.read_identity(other))
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(other)
