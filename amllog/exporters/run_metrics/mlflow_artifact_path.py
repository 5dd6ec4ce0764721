"""An open copy under a name of its own, for libraries that read files by their path only.

In: the copy. Out: a path. On Linux it leads to the open file, and elsewhere to a second copy.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from amllog.journal.artifact_copies import BUSY, ArtifactCopy, CopyBusy, read_error
from amllog.process import interrupts

_OPENED = "/proc/self/fd"  # of Linux: the open files of this process


@contextlib.contextmanager
def under_name(copy: ArtifactCopy, name: str) -> Iterator[str]:
    """A path of this name. Raises CopyUnusable, CopyBusy."""
    with contextlib.ExitStack() as stack:
        try:
            private = stack.enter_context(tempfile.TemporaryDirectory(prefix="amllog-upload-"))
        except OSError as error:
            interrupts.pass_on(error)
            raise CopyBusy(f"{BUSY}: {error.strerror or type(error).__name__}") from error
        path = Path(private, name)
        try:
            _make(copy, path)
        except OSError as error:
            interrupts.pass_on(error)
            raise read_error(error) from error
        try:
            yield str(path)
        finally:
            copy.verify()  # else the path has led to nothing, or to a file of the script


def _make(copy: ArtifactCopy, path: Path) -> None:
    opened = f"{_OPENED}/{copy.stream.fileno()}"
    if os.path.exists(opened):
        os.symlink(opened, path)
    else:
        with path.open("xb") as file:
            shutil.copyfileobj(copy.stream, file)
