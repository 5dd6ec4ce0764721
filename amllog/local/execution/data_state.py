"""The names, sizes and times of the files at a path, which show that data has changed without reading it."""

from __future__ import annotations

import os
import stat
from pathlib import Path


def data_state(path: Path) -> list[tuple[str, int, int]]:
    """Return the names, sizes and times of all files at a path. Empty if there is nothing.

    Links are followed, because a step reads what they lead to. Each folder counts once. Raises OSError.
    """
    if not path.is_dir():
        return [_file_state(path, "")] if path.exists() else []
    result: list[tuple[str, int, int]] = []
    seen: set[tuple[int, int]] = set()
    for folder, folders, names in os.walk(path, followlinks=True):
        status = os.stat(folder)
        if (status.st_dev, status.st_ino) in seen:  # a link leads back, or two links lead to it
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        folders.sort()
        prefix = os.path.relpath(folder, path)
        result += [_file_state(Path(folder, name), f"{prefix}/{name}") for name in sorted((*names, *folders))]
    return result


def _file_state(path: Path, name: str) -> tuple[str, int, int]:
    try:
        status = os.stat(path)
    except FileNotFoundError:  # a broken link
        status = os.lstat(path)
    # The size of a folder depends on the file system, and its time on files that came and went.
    return (name, 0, 0) if stat.S_ISDIR(status.st_mode) else (name, status.st_size, status.st_mtime_ns)
