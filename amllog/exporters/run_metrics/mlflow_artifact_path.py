"""A path with a chosen name for an open copy of a file, because MLflow reads files by their path only.

On Linux the path leads to the open file. Elsewhere it is a second copy.
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

_OPEN_FILES = "/proc/self/fd"  # of this process, on Linux


@contextlib.contextmanager
def path_with_name(copy: ArtifactCopy, name: str) -> Iterator[str]:
    """Return a path with this name. Raises CopyUnusable, CopyBusy."""
    with contextlib.ExitStack() as stack:
        try:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="amllog-upload-"))
        except OSError as error:
            interrupts.pass_on(error)
            raise CopyBusy(f"{BUSY}: {error.strerror or type(error).__name__}") from error
        path = Path(folder, name)
        try:
            _create(copy, path)
        except OSError as error:
            interrupts.pass_on(error)
            raise read_error(error) from error
        try:
            yield str(path)
        finally:
            copy.verify()  # otherwise the path may have led nowhere, or to a file of the script


def _create(copy: ArtifactCopy, path: Path) -> None:
    opened = f"{_OPEN_FILES}/{copy.stream.fileno()}"
    if os.path.exists(opened):
        os.symlink(opened, path)
    else:
        with path.open("xb") as file:
            shutil.copyfileobj(copy.stream, file)
