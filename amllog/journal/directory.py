"""The journal directory: names, lists, opens and claims its segments, and chooses the fallback directory.

Other programs may use the directory as well. Only files that are segments by their name and their first bytes are
opened for writing or locked.
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

# The journal writes 64 MiB to a segment, and more only if it cannot create another one.
MAX_SEGMENT_BYTES = 256 * 1024 * 1024
# Of a file that another program has made longer. Reading a hole is a waste of time.
MAX_HOLE_BYTES = 16 * 1024 * 1024
TRIES = 100  # to create a file that nobody else has locked first
_CREATE = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND
# The machine or the process lacks descriptors, locks or memory, or a network file system does not respond.
_TEMPORARY = {
    errno.EMFILE,
    errno.ENFILE,
    errno.ENOMEM,
    errno.ENOLCK,
    errno.EIO,
    errno.ESTALE,
    errno.ETIMEDOUT,
}
_NOT_A_SEGMENT = "is not a journal file of amllog"


def claim_orphans(
    directory: Path,
    node: str,
    outlets: Sequence[str],
    settled: set[str] | None = None,
    report: Callable[[str], object] = lambda text: None,
    is_own: Callable[[Path], bool] = lambda path: False,
) -> Iterator[Segment]:
    """Yield the segments of ended processes in which lines wait for `outlets`, the oldest first.

    Each segment is locked by this process, and the caller closes it. `settled` collects the names of segments that need
    not be opened again: nothing is appended to a segment without a writer. `report` gets a sentence for each file that
    is not sent. `is_own`: whether this process writes the file. It may have lost the lock if the script closes
    descriptors.
    """
    known = set() if settled is None else settled
    for path in list_segments(directory):
        if path.name in known or is_own(path):
            continue
        try:
            segment = _claimed(path, node)
        except FileNotFoundError:  # deleted meanwhile
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
        if segment.size:  # the writer of an empty segment may be about to lock it
            known.add(path.name)
        segment.close()


def is_temporary(error: BaseException) -> bool:
    """Return whether another attempt to read the same file may succeed."""
    return isinstance(error, MemoryError) or getattr(error, "errno", None) in _TEMPORARY


def defects(segment: Segment) -> list[str]:
    """Return a sentence for each defect of the segment's checkpoint."""
    sentences = []
    if segment.checkpoint_error:
        sentences.append(f"{segment.path} is not sent: {segment.checkpoint_error.strerror}")
    if segment.invalid_entries:
        checkpoint = segment.path.with_suffix(".ack")
        sentences.append(
            f"{checkpoint} has {segment.invalid_entries} invalid lines, so records may be sent twice"
        )
    return sentences


def list_segments(directory: Path) -> list[Path]:
    """Return the files of a directory that have the name of a segment, in the order of their creation."""
    names: list[str] = []
    with interrupts.suppress(OSError), os.scandir(directory) as entries:  # there may be no such directory
        names = [entry.name for entry in entries if SEGMENT_NAME.match(entry.name)]
    return [directory / name for name in sorted(names)]


def claim(path: Path, node: str) -> Segment | None:
    """Lock and return the segment at `path`. None if another process has the lock, or if it is not a segment."""
    with interrupts.suppress(OSError):
        return _claimed(path, node)
    return None


def open_read_only(path: Path, report: Callable[[str], object] = lambda text: None) -> Segment | None:
    """Return the segment at `path` for reading, without a lock. None if it is gone or not a segment.

    `report` gets a sentence about an existing file that cannot be read.
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
    segment.close()  # deleted meanwhile, perhaps before its checkpoint was read
    return None


def open_segment(path: Path, flags: int = os.O_RDONLY) -> int:
    """Open the segment at `path` and return the descriptor. Raises OSError if the file is not a segment."""
    fd = own_files.open_regular(path, flags)
    try:
        if not is_segment(path.name, own_files.read_head(fd)):
            raise OSError(errno.EINVAL, _NOT_A_SEGMENT, str(path))
        if os.fstat(fd).st_size > MAX_SEGMENT_BYTES:
            raise OSError(errno.EFBIG, f"has more than {MAX_SEGMENT_BYTES:,} bytes", str(path))
        if _is_sparse(fd):
            raise OSError(errno.EFBIG, "is sparse: another program has changed its size", str(path))
    except BaseException:
        os.close(fd)
        raise
    return fd


def create_segment(directory: Path, node: str) -> Segment:
    """Create and lock a segment. In between, others may assume that its writer has ended. Raises OSError."""
    make_directory(directory)
    for _ in range(TRIES):
        path = directory / segment_name(node)
        with own_files.open_directory(directory) as parent:
            name = path if parent is None else path.name
            fd = own_files.open_regular(name, _CREATE, directory=parent)
        # From the path, because another thread may have put a file of the script in the place of the descriptor.
        identity = own_files.identity_at(path) or descriptors.read_identity(fd)
        is_locked = descriptors.is_same(fd, identity) and lock(fd)
        segment = _segment(path, fd, new=True) if is_locked else None
        if segment is not None and segment.is_in_place():  # no other process had the lock and deleted it
            return segment
        own_files.delete_if_same(path, identity)
        descriptors.close_if_same(fd, identity)
    raise OSError(errno.EAGAIN, "others hold the lock of every new file", str(directory))


def segment_name(node: str) -> str:
    """Return the name of a new segment, with its time, node and process. Names sort by time."""
    stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime())
    return f"{stamp}-{file_node(node)}-{os.getpid()}-{secrets.token_hex(3)}.jsonl"


def fallback_directory() -> Path:
    """Return the directory for the journal if its own directory cannot be written.

    There is one per user and working directory. If another user has created it, a new one is created. Raises OSError if
    no private directory can be created.
    """
    try:
        working_directory = os.fsencode(os.getcwd())
    except OSError as error:  # it was deleted
        if interrupts.is_from_signal(error):
            raise
        working_directory = b""
    user = getattr(os, "geteuid", lambda: 0)()
    parent = Path(tempfile.gettempdir(), f"amllog-{user}")
    path = parent / hashlib.sha256(working_directory).hexdigest()[:12]
    try:
        own_files.make_private(parent)
        own_files.make_private(path)
    except OSError as error:
        if interrupts.is_from_signal(error):
            raise
        path = Path(tempfile.mkdtemp(prefix=f"amllog-{user}-"))
        own_files.grant_to_owner(path)
    return path


def _claimed(path: Path, node: str) -> Segment | None:
    """Return the segment, locked. None if another process has the lock. Raises OSError if it is not a segment."""
    try:  # opened for writing, because over NFS only a writer gets the lock
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
    # In between, the former holder of the lock may have deleted the file and its checkpoint.
    if not segment.is_in_place() or segment.checkpoint_error:
        segment.close()
        raise segment.checkpoint_error or FileNotFoundError(errno.ENOENT, str(path))
    segment.checkpoint.write_pending()  # those that are only in the fallback
    return segment


def _segment(path: Path, fd: int, *, new: bool = False) -> Segment:
    """Return the segment of a descriptor, which is closed if this fails."""
    try:
        return Segment(path, fd, new=new)
    except BaseException:
        os.close(fd)
        raise


def _is_sparse(fd: int) -> bool:
    """Return whether the file has a large hole. A compressing file system stores less than the size as well."""
    status = os.fstat(fd)
    if status.st_size - own_files.stored_bytes(status) <= MAX_HOLE_BYTES or not hasattr(os, "SEEK_HOLE"):
        return False
    return os.lseek(fd, 0, os.SEEK_HOLE) < status.st_size


def _reason(error: BaseException) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
