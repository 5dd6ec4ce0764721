"""Opens and checks files, and gives DuckDB names that stand for the open files, whatever happens to their paths.

In: paths in directories that other programs write to. Out: for the length of a block, their names. Between a look at a
path and DuckDB's own opening, somebody can put a FIFO there, for whose writer DuckDB would wait without end. So a name
is that of our descriptor in /proc. Where there is no /proc, and where there are more files than a process may open, it
is a copy, up to a limit; beyond that it is the path.
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
except ImportError:  # Windows has none
    resource = None  # type: ignore[assignment]  # the module or None

MAX_OPEN_FILES = 10_000
MAX_COPIED_BYTES = 256 * 1024 * 1024
_PIECE_BYTES = 1024 * 1024
_LINK = "/proc/self/fd/{}"


class OpenFiles(NamedTuple):
    """`names` of the files, and of those without a name the reason in `unread`."""

    names: dict[Path, Path]
    unread: dict[Path, OSError]

    @property
    def deleted(self) -> list[Path]:
        """The files that were deleted meanwhile."""
        return [path for path, error in self.unread.items() if isinstance(error, FileNotFoundError)]

    @property
    def notes(self) -> list[str]:
        """A sentence for each file that cannot be read."""
        return [f"{path}: {error.strerror or error}" for path, error in self.unread.items()]

    def with_paths(self, text: str) -> str:
        """A text of DuckDB's with the paths of the files in place of the names."""
        # The longest names first: fd/10 before fd/1.
        for path, name in sorted(self.names.items(), key=lambda item: -len(str(item[1]))):
            text = text.replace(str(name), str(path))
        return text


@contextlib.contextmanager
def open_all(
    journals: Iterable[Path], compacted: Iterable[Path] = (), *, key: str = ""
) -> Iterator[OpenFiles]:
    """The files, open to the end of the block. The name of a compacted one has the folder of its run, whose name DuckDB
    reads. Blocks with the same `key` (32 hexadecimal digits) give a file the same name: one after the other only."""
    paths = {**dict.fromkeys(journals, ""), **{path: path.parent.name for path in compacted}}
    if not paths or not hasattr(os, "mkfifo"):
        yield OpenFiles({path: path for path in paths}, {})
        return
    with contextlib.ExitStack() as stack:
        found, most, left, folder = OpenFiles({}, {}), max_open_files(), MAX_COPIED_BYTES, None
        for number, path in enumerate(_largest_first(paths) if len(paths) > most else paths):
            try:
                file = open_for_reading(path)
                most = most if number or descriptor_path(file.fileno()) else 0
                if number < most:
                    link = found.names[path] = Path(_LINK.format(stack.enter_context(file).fileno()))
                    if paths[path]:
                        folder = folder or stack.enter_context(temporary_directory.subdirectory(key))
                        found.names[path] = name = _name(folder, path, os.fstat(file.fileno()), paths[path])
                        os.symlink(link, name)
                    continue
                with file:
                    about = os.fstat(file.fileno())
                    found.names[path] = path
                    if about.st_size <= left:
                        folder = folder or stack.enter_context(temporary_directory.subdirectory(key))
                        found.names[path] = name = _name(folder, path, about, paths[path])
                        left -= _copy(file, about.st_size, name)
            except OSError as error:
                found.names.pop(path, None)
                found.unread[path] = error
        yield found


def _name(folder: Path, path: Path, about: os.stat_result, run: str) -> Path:
    """The same for the same file at the same path, so that free KQL finds the same names again."""
    key = f"{path}\0{about.st_dev}\0{about.st_ino}".encode("utf-8", "surrogateescape")
    name = hashlib.blake2b(key, digest_size=16).hexdigest()
    if not run:
        return folder / f"{name}.jsonl"
    (folder / run).mkdir(mode=0o700, exist_ok=True)
    return folder / run / f"{name}.parquet"


def max_open_files() -> int:
    """Return how many files may be open at once: at most half of those that the process may open."""
    if resource is not None:
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        if limit >= 0:  # negative: there is none
            return min(MAX_OPEN_FILES, limit // 2)
    return MAX_OPEN_FILES


def descriptor_path(fd: int) -> str:
    """Return a name by which this process can open the file of a descriptor again, or "" if there is none."""
    name = _LINK.format(fd)
    try:
        again = os.open(name, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
        try:
            return name if os.path.sameopenfile(fd, again) else ""
        finally:
            os.close(again)
    except OSError:
        return ""


def _largest_first(paths: Iterable[Path]) -> list[Path]:
    """The paths, so that the small files are those that are copied."""
    sizes = {}
    for path in paths:
        try:
            sizes[path] = os.lstat(path).st_size
        except OSError:  # deleted meanwhile
            sizes[path] = 0
    return sorted(sizes, key=lambda path: -sizes[path])


def _copy(file: BinaryIO, size: int, target: Path) -> int:
    """The first `size` bytes of an open file: a journal may grow meanwhile. Return how many there were."""
    with target.open("xb") as copied:
        while copied.tell() < size and (part := file.read(min(size - copied.tell(), _PIECE_BYTES))):
            copied.write(part)
        return copied.tell()
