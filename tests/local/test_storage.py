"""Files: lines that are kept, blobs that stay where they belong."""

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
def test_no_name_leads_out(tmp_path: Path, name: str) -> None:
    """Whatever a blob is called, its file is directly in the directory."""
    blobs = BlobFiles(tmp_path / "blobs")
    path = blobs.write(name, b"x")
    assert path.parent == tmp_path / "blobs"
    assert blobs.read(name) == b"x"
    assert [one.name for one in tmp_path.iterdir()] == ["blobs"]


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    """A symbolic link in the place of a blob or of a file of lines is never written through, nor read."""
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


def test_a_torn_line_is_left_out(tmp_path: Path) -> None:
    """The last line of a killed process costs nothing but itself."""
    path = tmp_path / "lines"
    path.write_bytes(b'{"a":1}\n5\n{"b"')
    assert list(read_lines([path])) == [{"a": 1}]
    JsonLinesFile(path).append([{"c": 1}])
    assert list(read_lines([path])) == [{"a": 1}, {"c": 1}]


def test_after_a_close_nothing_is_taken(tmp_path: Path) -> None:
    """A line that cannot be kept is an error."""
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
    """Writing it raises the error, and nothing of it is left."""
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
    """A batch of which a part fits is an error and leaves nothing; later batches are whole."""
    assert child(FULL_LINES).stdout == "27 ['1']\n['1', '2']\n"
