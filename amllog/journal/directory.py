"""The journal directory: names, lists, opens and claims its segments, and chooses the fallback directory.

In: a directory that other programs may use as well. Out: segments that are ours by name and by first bytes. Everything
else there is neither opened for writing nor locked.
"""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from amllog.journal import own_files
from amllog.journal.lock import file_node, lock
from amllog.journal.own_directories import make_directory
from amllog.journal.segment import Segment
from amllog.journal.signature import SEGMENT_NAME, is_segment
from amllog.process import descriptors, interrupts

# The journal writes 64 MiB into one, and more only where it can begin no other.
MAX_SEGMENT_BYTES = 256 * 1024 * 1024
MAX_HOLE_BYTES = 16 * 1024 * 1024  # of a file that another program has made longer: they are read for nothing
TRIES = 100  # at a new file that nobody else has taken before it is locked
_CREATE = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND
# The machine or the process has too few descriptors, locks or memory, or a network file system does not answer.
_PASSING = {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOLCK, errno.EIO, errno.ESTALE, errno.ETIMEDOUT}
_NOT_OURS = "is not a journal file of amllog"


def claim_orphans(
    directory: Path,
    node: str,
    outlets: Sequence[str],
    settled: set[str] | None = None,
    report: Callable[[str], object] = lambda text: None,
    is_own: Callable[[Path], bool] = lambda path: False,
) -> Iterator[Segment]:
    """The segments in `directory` whose writers have ended and in which something waits for `outlets`, oldest first.

    Each is locked by us while it is yielded; the caller closes it. `settled` keeps the names of those that need not be
    opened again: without a writer nothing is added to them. `report` gets a sentence for each file that is not sent.
    `is_own`: whether this process writes the file. It may have lost the lock, because the script closes descriptors.
    """
    known = set() if settled is None else settled
    for path in list_segments(directory):
        if path.name in known or is_own(path):
            continue
        try:
            segment = _claimed(path, node)
        except FileNotFoundError:  # removed meanwhile
            continue
        except (OSError, ValueError, MemoryError) as error:
            interrupts.pass_on(error)
            if not is_temporary(error):
                known.add(path.name)
            report(f"{path} is not sent: {_reason(error)}")
            continue
        if segment is None:
            continue
        for defect in defects(segment):
            report(defect)
        if not segment.is_settled(outlets):
            yield segment
            continue
        if segment.size:  # what is empty may be about to get its writer
            known.add(path.name)
        segment.close()


def is_temporary(error: BaseException) -> bool:
    """Whether another attempt to read the same file may succeed."""
    return isinstance(error, MemoryError) or getattr(error, "errno", None) in _PASSING


def defects(segment: Segment) -> list[str]:
    """A sentence for each defect of the segment's checkpoint."""
    found = (
        [f"{segment.path} is not sent: {segment.checkpoint_error.strerror}"]
        if segment.checkpoint_error
        else []
    )
    if segment.invalid_entries:
        checkpoint = segment.path.with_suffix(".ack")
        found.append(f"{checkpoint} has {segment.invalid_entries} invalid lines: records may come twice")
    return found


def list_segments(directory: Path) -> list[Path]:
    """The files of a directory that are named as segments, by name: that is by the time at which they began."""
    names: list[str] = []
    with interrupts.suppress(OSError), os.scandir(directory) as entries:  # there may be no such directory
        names = [entry.name for entry in entries if SEGMENT_NAME.match(entry.name)]
    return [directory / name for name in sorted(names)]


def claim(path: Path, node: str) -> Segment | None:
    """The segment at `path`, locked; None while another process holds it, if it is gone, or if it is not ours."""
    with interrupts.suppress(OSError):
        return _claimed(path, node)
    return None


def open_read_only(path: Path, report: Callable[[str], object] = lambda text: None) -> Segment | None:
    """The segment at `path` for reading only, whoever holds it; None if it is gone, or not ours.

    `report` gets a sentence about a file that is there and cannot be read.
    """
    try:
        segment = _segment(path, open_segment(path))
    except OSError as error:
        if interrupts.is_from_signal(error):
            raise
        if not isinstance(error, FileNotFoundError):
            report(f"{path} is not read: {_reason(error)}")
        return None
    if segment.is_in_place():
        return segment
    segment.close()  # removed meanwhile, perhaps before what was noted of it was read
    return None


def open_segment(path: Path, flags: int = os.O_RDONLY) -> int:
    """The descriptor of the segment at `path`. Raises OSError with the reason if the file is not ours."""
    fd = own_files.open_regular(path, flags)
    try:
        if not is_segment(path.name, own_files.read_head(fd)):
            raise OSError(errno.EINVAL, _NOT_OURS, str(path))
        if os.fstat(fd).st_size > MAX_SEGMENT_BYTES:
            raise OSError(errno.EFBIG, f"has more than {MAX_SEGMENT_BYTES:,} bytes", str(path))
        if _is_sparse(fd):
            raise OSError(errno.EFBIG, "is sparse: another program has changed its size", str(path))
    except BaseException:
        os.close(fd)
        raise
    return fd


def create_segment(directory: Path, node: str) -> Segment:
    """Open and lock a new segment. In between, others may assume that its writer has ended. Raises OSError."""
    make_directory(directory)
    for _ in range(TRIES):
        path = directory / segment_name(node)
        with own_files.open_directory(directory) as at:
            fd = own_files.open_regular(path if at is None else path.name, _CREATE, directory=at)
        # Of the path: another thread may have put a file of the script in the place of the descriptor.
        identity = own_files.identity_at(path) or descriptors.read_identity(fd)
        is_ours = descriptors.is_same(fd, identity) and lock(fd)
        segment = _segment(path, fd, new=True) if is_ours else None  # nobody looks into it now
        if segment is not None and segment.is_in_place():  # and nobody has removed it
            return segment
        own_files.delete_if_same(path, identity)
        descriptors.close_if_same(fd, identity)
    raise OSError(errno.EAGAIN, "others hold the lock of every new file", str(directory))


def segment_name(node: str) -> str:
    """A new segment's file name: sorts by time, and has the node and the process."""
    stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime())
    return f"{stamp}-{file_node(node)}-{os.getpid()}-{secrets.token_hex(3)}.jsonl"


def fallback_directory() -> Path:
    """Where the journal goes when the directory meant for it cannot be written: one per user and working directory.

    Where somebody else has taken its name, a new one. Raises OSError if there is none that is the user's own.
    """
    try:
        here = os.fsencode(os.getcwd())
    except OSError as error:  # it was deleted
        if interrupts.is_from_signal(error):
            raise
        here = b""
    user = getattr(os, "geteuid", lambda: 0)()
    above = Path(tempfile.gettempdir(), f"amllog-{user}")
    path = above / hashlib.sha256(here).hexdigest()[:12]
    try:
        own_files.make_private(above)
        own_files.make_private(path)
    except OSError as error:
        if interrupts.is_from_signal(error):
            raise
        made = tempfile.mkdtemp(prefix=f"amllog-{user}-")
        own_files.grant_to_owner(made)
        return Path(made)
    return path


def _claimed(path: Path, node: str) -> Segment | None:
    """The segment, locked; None while another process holds it. Raises OSError if it is gone or not ours."""
    try:  # for reading; but over NFS only who could write gets the lock
        fd = open_segment(path, os.O_RDWR)
    except PermissionError:
        fd = open_segment(path)
    except OSError as error:
        if interrupts.is_from_signal(error):
            raise
        if error.errno != errno.EROFS:
            raise
        fd = open_segment(path)
    if not lock(fd, path, node):
        os.close(fd)
        return None
    segment = _segment(path, fd)
    # Between the two, who held it may have removed the file, and what was noted of it.
    if not segment.is_in_place() or segment.checkpoint_error:
        segment.close()
        raise segment.checkpoint_error or FileNotFoundError(errno.ENOENT, str(path))
    segment.checkpoint.write_pending()  # what is in the fallback only
    return segment


def _segment(path: Path, fd: int, *, new: bool = False) -> Segment:
    """The segment behind a descriptor, which is closed if that fails."""
    try:
        return Segment(path, fd, new=new)
    except BaseException:
        os.close(fd)
        raise


def _is_sparse(fd: int) -> bool:
    """Whether much of the file's size is a hole. A file system that compresses stores less than the size as well."""
    found = os.fstat(fd)
    if found.st_size - own_files.stored_bytes(found) <= MAX_HOLE_BYTES or not hasattr(os, "SEEK_HOLE"):
        return False
    return os.lseek(fd, 0, os.SEEK_HOLE) < found.st_size


def _reason(error: BaseException) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
