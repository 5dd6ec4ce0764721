"""Copies of files that wait for run history, in the directory `artifacts` of a journal directory.

A line may be invalid or forged, and other programs may replace files in the directory. So a name has one form, and a
copy is opened once, relative to the descriptor of its directory. The open file is checked, uploaded and deleted.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import re
import secrets
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple

from amllog.journal import own_files
from amllog.journal.directory import is_temporary
from amllog.journal.own_stream import OwnStream
from amllog.process import descriptors, interrupts

DIRECTORY = "artifacts"
_ENTRY = "[0-9a-f]{12}-[A-Za-z0-9_.-]{1,100}"
_NAME = re.compile(f"{DIRECTORY}/{_ENTRY}")
# Other programs may write a backslash before the slash.
_IN_LINE = re.compile(rf"{DIRECTORY}\\*/({_ENTRY})".encode())

Directories = Callable[[], Sequence[Path]]  # the directories that may have copies

BUSY = "copy of a file: not usable now"


class CopyUnusable(FileNotFoundError):
    """The copy of a line cannot be used, now or later."""


class CopyBusy(OSError):
    """A copy cannot be used now: no descriptor is free, or the disk is full or does not respond."""


class CopyNotWritten(OSError):
    """A copy cannot be written because of the journal: its disk, its directory or its limit."""


class Folder(NamedTuple):
    """An open directory of copies. `fd` is None if the system does not support descriptors of directories."""

    path: Path
    fd: int | None

    def stat(self, entry: str) -> os.stat_result:
        """Return the status of an entry, without following a link. Raises OSError."""
        return os.stat(self._at(entry), dir_fd=self.fd, follow_symlinks=False)

    def open(self, entry: str, flags: int = os.O_RDONLY) -> int:
        """Open a regular file. Raises OSError as `own_files.open_regular`."""
        return own_files.open_regular(self._at(entry), flags, directory=self.fd)

    def delete(self, entry: str, identity: descriptors.Identity) -> bool:
        """Delete a file if it still has this name. Return whether it was deleted."""
        with interrupts.suppress(OSError):
            status = self.stat(entry)
            if (status.st_dev, status.st_ino) == identity:
                os.unlink(self._at(entry), dir_fd=self.fd)
                return True
        return False

    def entries(self) -> Iterator[tuple[str, os.stat_result]]:
        """Yield the regular files that have the name of a copy."""
        for entry in os.listdir(self.path if self.fd is None else self.fd):
            if is_copy_name(f"{DIRECTORY}/{entry}"):
                with interrupts.suppress(FileNotFoundError):
                    status = self.stat(entry)
                    if stat.S_ISREG(status.st_mode):
                        yield entry, status

    def _at(self, entry: str) -> str | Path:
        return self.path / entry if self.fd is None else entry


class ArtifactCopy:
    """An open copy."""

    def __init__(self, folder: Folder, entry: str, file: OwnStream) -> None:
        self.stream: BinaryIO = io.BufferedReader(file)
        self.verify = file.verify
        self._folder, self._entry, self._identity = folder, entry, file.identity

    def delete(self) -> None:
        """Delete the copy, because its line was delivered or refused."""
        self._folder.delete(self._entry, self._identity)


def new_name(file: str) -> str:
    """Return the name of a new copy of a file, relative to the journal directory."""
    safe = re.sub(r"[^A-Za-z0-9_.-]+", "_", os.path.basename(file))[-100:] or "file"
    return f"{DIRECTORY}/{secrets.token_hex(6)}-{safe}"


def is_copy_name(name: object) -> bool:
    """Return whether a name has the form of `new_name`."""
    return isinstance(name, str) and _NAME.fullmatch(name) is not None


def copies_in(line: bytes) -> list[str]:
    """Return the copies that a line names, without their directory."""
    return [name.decode() for name in _IN_LINE.findall(line)] if DIRECTORY.encode() in line else []


def write_copy(directory: Path, name: str, chunks: Iterable[bytes]) -> None:
    """Write a new copy. Raises CopyNotWritten and the errors of `chunks`, after which no copy remains."""
    with contextlib.ExitStack() as stack:
        try:
            folder = stack.enter_context(open_folder(directory, create=True))
            entry = name.partition("/")[2]
            fd = folder.open(entry, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        except OSError as error:
            interrupts.pass_on(error)
            raise write_error(error) from error
        identity = descriptors.read_identity(fd)
        try:
            for chunk in chunks:
                _write(fd, identity, chunk)
            _close(fd)
        except BaseException:
            folder.delete(entry, identity)
            descriptors.close_if_same(fd, identity)
            raise


@contextlib.contextmanager
def open_copy(directories: Sequence[Path], name: object) -> Iterator[ArtifactCopy]:
    """Open the copy that a line names, in the first of `directories` that has it. Raises CopyUnusable, CopyBusy."""
    if not is_copy_name(name):
        raise CopyUnusable("copy of a file: not a name of amllog")
    with contextlib.ExitStack() as stack:
        for directory in directories:
            try:
                folder = stack.enter_context(open_folder(directory))
                copy = stack.enter_context(_opened(folder, str(name).partition("/")[2]))
            except FileNotFoundError:
                continue
            except OSError as error:
                interrupts.pass_on(error)
                raise read_error(error) from error
            yield copy
            return
        raise CopyUnusable("copy of a file: it is missing")


def delete_copy(directories: Sequence[Path], name: object) -> None:
    """Delete the copy of a line that was refused. A file that is not a copy is not deleted."""
    with interrupts.suppress(CopyUnusable, CopyBusy), open_copy(directories, name) as copy:
        copy.delete()


@contextlib.contextmanager
def open_folder(directory: Path, *, create: bool = False) -> Iterator[Folder]:
    """Open the directory of copies. Raises OSError if it is a link, or belongs to another user."""
    path = directory / DIRECTORY
    with own_files.open_directory(directory) as parent:
        if create:
            with interrupts.suppress(FileExistsError):
                os.mkdir(path if parent is None else DIRECTORY, 0o700, dir_fd=parent)
        if parent is None:
            if not stat.S_ISDIR(os.lstat(path).st_mode):
                raise NotADirectoryError(errno.ENOTDIR, "is not a directory", str(path))
            yield Folder(path, None)
            return
        fd = os.open(DIRECTORY, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
        identity = descriptors.read_identity(fd)
        try:
            if os.fstat(fd).st_uid not in (os.geteuid(), os.fstat(parent).st_uid):
                raise PermissionError(errno.EPERM, "belongs to another user", str(path))
            yield Folder(path, fd)
        finally:
            descriptors.close_if_same(fd, identity)


def write_error(error: OSError) -> CopyNotWritten:
    """Return the error for a copy that cannot be written to the journal's directory."""
    return CopyNotWritten(f"copy of a file: {errno.errorcode.get(error.errno or 0, type(error).__name__)}")


def read_error(error: OSError) -> OSError:
    """Return CopyBusy if another attempt to open the copy may succeed, else CopyUnusable."""
    reason = error.strerror or type(error).__name__
    if is_temporary(error) or error.errno in (errno.ENOSPC, errno.EDQUOT, None):
        return CopyBusy(f"{BUSY}: {reason}")
    return CopyUnusable(f"copy of a file: {reason}")


@contextlib.contextmanager
def _opened(folder: Folder, entry: str) -> Iterator[ArtifactCopy]:
    with OwnStream(folder.open(entry)) as file:
        if own_files.is_linked(file.fileno()):  # the other one may be a file of the user
            raise OSError(errno.EMLINK, "has several hard links", entry)
        copy = ArtifactCopy(folder, entry, file)
        with copy.stream:
            yield copy


def _write(fd: int, identity: descriptors.Identity, chunk: bytes) -> None:
    rest = memoryview(chunk)
    while rest:
        try:
            if not descriptors.is_same(fd, identity):  # the script has closed it, and may reuse the number
                raise OSError(errno.EBADF, os.strerror(errno.EBADF))
            rest = rest[os.write(fd, rest) :]
        except OSError as error:
            interrupts.pass_on(error)
            raise write_error(error) from error


def _close(fd: int) -> None:
    try:
        os.close(fd)
    except OSError as error:  # some network file systems report only now that they are full
        interrupts.pass_on(error)
        raise write_error(error) from error
