"""Open and check files, and give DuckDB paths of the open files.

The directories are shared with other programs. Between a check of a path and DuckDB's own opening, a program can put a
FIFO there, and DuckDB would wait for its writer without a limit. So DuckDB gets the path of our descriptor in /proc.
Where there is no /proc, or where there are more files than a process may open, it gets a copy. Beyond a total size of
copies, it gets the original path.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

from amllog.insights.stores.local import temporary_directory
from amllog.insights.stores.local.other_formats import open_for_reading

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]  # the module or None

MAX_OPEN_FILES = 10_000
MAX_COPIED_BYTES = 256 * 1024 * 1024
_CHUNK_BYTES = 1024 * 1024
_DESCRIPTOR_PATH = "/proc/self/fd/{}"


class OpenFiles(NamedTuple):
    """The paths for DuckDB by original path, and the errors of files that cannot be opened."""

    names: dict[Path, Path]
    unread: dict[Path, OSError]

    @property
    def deleted(self) -> list[Path]:
        """The files that were deleted after they had been found."""
        return [path for path, error in self.unread.items() if isinstance(error, FileNotFoundError)]

    @property
    def notes(self) -> list[str]:
        """A sentence for each file that cannot be read."""
        return [f"{path}: {error.strerror or error}" for path, error in self.unread.items()]

    def with_paths(self, message: str) -> str:
        """Return a message of DuckDB with the original paths."""
        # The longest names first: fd/10 before fd/1.
        for path, name in sorted(self.names.items(), key=lambda item: -len(str(item[1]))):
            message = message.replace(str(name), str(path))
        return message


@contextlib.contextmanager
def open_all(
    journals: Iterable[Path], compacted: Iterable[Path] = (), *, key: str = ""
) -> Iterator[OpenFiles]:
    """Open files until the end of the block.

    The path of a compacted file contains the folder of its run, because DuckDB reads the run id from it. Blocks with
    the same `key` (32 hexadecimal digits) give a file the same path. Such blocks must not overlap.
    """
    run_folders = {**dict.fromkeys(journals, ""), **{path: path.parent.name for path in compacted}}
    if not run_folders or not hasattr(os, "mkfifo"):
        yield OpenFiles({path: path for path in run_folders}, {})
        return
    with contextlib.ExitStack() as stack:
        files, max_open, copy_budget, folder = OpenFiles({}, {}), max_open_files(), MAX_COPIED_BYTES, None
        for number, path in enumerate(
            _largest_first(run_folders) if len(run_folders) > max_open else run_folders
        ):
            run_folder = run_folders[path]
            try:
                file = open_for_reading(path)
                max_open = max_open if number or descriptor_path(file.fileno()) else 0
                if number < max_open:
                    link = files.names[path] = Path(
                        _DESCRIPTOR_PATH.format(stack.enter_context(file).fileno())
                    )
                    if run_folder:
                        folder = folder or stack.enter_context(temporary_directory.subdirectory(key))
                        files.names[path] = name = _name(folder, path, os.fstat(file.fileno()), run_folder)
                        os.symlink(link, name)
                    continue
                with file:
                    status = os.fstat(file.fileno())
                    files.names[path] = path
                    if status.st_size <= copy_budget:
                        folder = folder or stack.enter_context(temporary_directory.subdirectory(key))
                        files.names[path] = name = _name(folder, path, status, run_folder)
                        copy_budget -= _copy(file, status.st_size, name)
            except OSError as error:
                files.names.pop(path, None)
                files.unread[path] = error
        yield files


def _name(folder: Path, path: Path, status: os.stat_result, run_folder: str) -> Path:
    """Return the same name for the same file at the same path, so that a sandbox can be used again."""
    identity = f"{path}\0{status.st_dev}\0{status.st_ino}".encode("utf-8", "surrogateescape")
    name = hashlib.blake2b(identity, digest_size=16).hexdigest()
    if not run_folder:
        return folder / f"{name}.jsonl"
    (folder / run_folder).mkdir(mode=0o700, exist_ok=True)
    return folder / run_folder / f"{name}.parquet"


def max_open_files() -> int:
    """Return the number of files that may be open at once: at most half of the limit of the process."""
    if resource is not None:
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        if limit >= 0:  # a negative value means no limit
            return min(MAX_OPEN_FILES, limit // 2)
    return MAX_OPEN_FILES


def descriptor_path(fd: int) -> str:
    """Return a path by which this process can open the file of a descriptor again, or "" if the system has none."""
    path = _DESCRIPTOR_PATH.format(fd)
    try:
        second_fd = os.open(path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
        try:
            return path if os.path.sameopenfile(fd, second_fd) else ""
        finally:
            os.close(second_fd)
    except OSError:
        return ""


def _largest_first(paths: Iterable[Path]) -> list[Path]:
    """Return the paths by descending size, so that small files are the ones that are copied."""
    sizes = {}
    for path in paths:
        try:
            sizes[path] = os.lstat(path).st_size
        except OSError:  # deleted since it was found
            sizes[path] = 0
    return sorted(sizes, key=lambda path: -sizes[path])


def _copy(file: BinaryIO, size: int, target: Path) -> int:
    """Copy the first `size` bytes of an open file, because a journal may grow. Return the number of bytes copied."""
    with target.open("xb") as copy:
        while copy.tell() < size and (chunk := file.read(min(size - copy.tell(), _CHUNK_BYTES))):
            copy.write(chunk)
        return copy.tell()
