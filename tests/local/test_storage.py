"""Files of lines and blobs, also on a full disk."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from amllog.local.storage import BlobFiles, JsonLinesFile, read_lines

if TYPE_CHECKING:
    from pathlib import Path

NAMES = [
    "..", "../../x", "/etc/passwd", "a\x00b", "a/../../b", "C:\\x", "%2e%2e%2fx", "x" * 10_000, "", ".", "\ud800",
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_a_blob_stays_in_its_directory(tmp_path: Path, name: str) -> None:
    """The file of a blob is directly in the directory, for any name of the blob."""
    blobs = BlobFiles(tmp_path / "blobs")
    path = blobs.write(name, b"x")
    assert path.parent == tmp_path / "blobs"
    assert blobs.read(name) == b"x"
    assert [path.name for path in tmp_path.iterdir()] == ["blobs"]


def test_symbolic_links_are_not_followed(tmp_path: Path) -> None:
    """A symbolic link in place of a blob or a file of lines is neither read nor written through."""
    outside = tmp_path / "outside"
    outside.write_text("mine")
    blobs = BlobFiles(tmp_path / "blobs")
    blobs.path("x").symlink_to(outside)
    (tmp_path / "lines").symlink_to(outside)
    assert (blobs.read("x"), blobs.size("x")) == (b"", -1)
    blobs.write("x", b"yours")
    with pytest.raises(OSError):
        JsonLinesFile(tmp_path / "lines")
    assert outside.read_text() == "mine"


def test_a_torn_line_is_skipped(tmp_path: Path) -> None:
    """The torn last line of a killed process affects no other line."""
    path = tmp_path / "lines"
    path.write_bytes(b'{"a":1}\n5\n{"b"')
    assert list(read_lines([path])) == [{"a": 1}]
    JsonLinesFile(path).append([{"c": 1}])
    assert list(read_lines([path])) == [{"a": 1}, {"c": 1}]


def test_a_closed_file_rejects_lines(tmp_path: Path) -> None:
    """A line that cannot be stored raises an error."""
    lines = JsonLinesFile(tmp_path / "lines")
    lines.close()
    with pytest.raises(BrokenPipeError):
        lines.append([1])


FULL = """
import os, resource
from pathlib import Path
from amllog.local.storage import BlobFiles
blobs = BlobFiles(Path("blobs"))
resource.setrlimit(resource.RLIMIT_FSIZE, (9, 9))
try:
    blobs.write("x", b"more than nine bytes")
except OSError as error:
    print(error.errno, os.listdir("blobs"))
"""


def test_a_blob_that_does_not_fit_on_the_disk(child: Any) -> None:
    """Writing it raises OSError, and no partial file remains."""
    assert child(FULL).stdout == "27 []\n"


FULL_LINES = """
import resource
from pathlib import Path
from amllog.local.storage import JsonLinesFile
lines = JsonLinesFile(Path("lines"))
lines.append([1])
resource.setrlimit(resource.RLIMIT_FSIZE, (9, resource.RLIM_INFINITY))
try:
    lines.append(["of more than", "nine bytes"])
except OSError as error:
    print(error.errno, Path("lines").read_text().split())
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
lines.append([2])
print(Path("lines").read_text().split())
"""


def test_lines_that_do_not_fit_on_the_disk(child: Any) -> None:
    """A batch that fits only in part raises OSError and leaves nothing, and later batches are complete."""
    assert child(FULL_LINES).stdout == "27 ['1']\n['1', '2']\n"
