"""The copy of a code folder or file in which a step runs, and the hash of its content."""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from amllog.errors import UsageError
from amllog.local.execution.data_state import data_state
from amllog.local.execution.ignore_rules import SKIPPED_NAMES, IgnoreRules

CHUNK = 1 << 20


class CodeEntry(NamedTuple):
    """A file, a folder or a link of a code folder. The name is relative, with `/`."""

    name: str
    path: Path
    mode: int


def code_entries(code: Path, excluded: Sequence[Path] = ()) -> Iterator[CodeEntry]:
    """Yield the entries of a code folder, each folder before its content, in the order of their names.

    Without excluded files, caches, virtual environments, pipes and sockets, and without the folders in `excluded`.
    """
    if not code.is_dir():
        try:
            yield CodeEntry(code.name, code, code.stat().st_mode)
        except OSError as error:
            raise UsageError(f"code: {error.strerror}: {code}") from error
        return
    yield from _below(code, "", IgnoreRules.of_folder(code), {os.path.realpath(path) for path in excluded})


def _below(folder: Path, prefix: str, rules: IgnoreRules, excluded: set[str]) -> Iterator[CodeEntry]:
    with os.scandir(folder) as scan:
        children = sorted(scan, key=lambda child: child.name)
    for child in children:
        name, path = prefix + child.name, Path(child.path)
        try:
            mode = child.stat(follow_symlinks=False).st_mode
        except FileNotFoundError:  # deleted in the meantime
            continue
        # No file is excluded, and the real path of each would take long.
        if child.name in SKIPPED_NAMES or (
            not stat.S_ISREG(mode) and os.path.realpath(child.path) in excluded
        ):
            continue
        if stat.S_ISDIR(mode):
            if (path / "pyvenv.cfg").exists() or (rules.excludes(name + "/") and not rules.keeps_some):
                continue
            yield CodeEntry(name, path, mode)
            yield from _below(path, name + "/", rules, excluded)
        elif (stat.S_ISREG(mode) or stat.S_ISLNK(mode)) and not rules.excludes(name):
            yield CodeEntry(name, path, mode)


def _link_target(entry: CodeEntry, code: Path, copy: Path) -> str:
    """Return the target of a link in the copy.

    A link inside the folder leads to the copy. A link out of it leads to the same place, and nothing is copied.
    """
    target = os.readlink(entry.path)
    real = os.path.realpath(entry.path)
    root = os.path.realpath(code)
    if os.path.isabs(target):
        inside = os.path.relpath(real, root)
        return target if inside.split(os.sep)[0] == ".." else str(copy / inside)
    lexical = os.path.normpath(entry.path.parent / target)
    is_inside = os.path.commonpath([lexical, os.path.normpath(code)]) == os.path.normpath(code)
    return target if is_inside else real


def _is_inside(path: Path, code: Path) -> bool:
    """Return whether a path leads to a place in the code folder, or to none at all."""
    real, root = os.path.realpath(path), os.path.realpath(code)
    return real == root or real.startswith(root.rstrip(os.sep) + os.sep) or not os.path.exists(real)


def copy_code(code: Path | None, work: Path, excluded: Sequence[Path] = ()) -> None:
    """Copy a code folder, or a single file, to the working directory, with modes and links. Raises OSError."""
    _delete_link(work)
    work.mkdir(parents=True, exist_ok=True)
    if code is None:
        return
    for entry in code_entries(code, (work, *excluded)):
        target = work / entry.name
        _delete_link(target)
        try:
            if stat.S_ISDIR(entry.mode):
                target.mkdir(exist_ok=True)
                target.chmod(stat.S_IMODE(entry.mode) | stat.S_IRWXU)
            elif stat.S_ISLNK(entry.mode):
                target.symlink_to(_link_target(entry, code, work))
            else:
                shutil.copy2(entry.path, target)
        except FileNotFoundError:
            if entry.path.exists():
                raise


def _delete_link(path: Path) -> None:
    """Delete a link that another code folder has put there. A copy through it would change what it leads to."""
    if path.is_symlink():
        path.unlink()


def code_hash(code: Path | None, excluded: Sequence[Path] = ()) -> str:
    """Return a hash of the names, contents, links and executable bits of a code folder or file.

    What links lead to counts with sizes and times, because it may be large data. Raises OSError and UsageError.
    """
    result = hashlib.sha256()
    for entry in code_entries(code, excluded) if code is not None else ():
        result.update(
            f"{entry.name}\0{stat.S_IFMT(entry.mode)}\0{entry.mode & stat.S_IXUSR}\0".encode(
                errors="surrogateescape"
            )
        )
        if stat.S_ISLNK(entry.mode):
            result.update(os.fsencode(os.readlink(entry.path)))
            if code is not None and not _is_inside(entry.path, code):
                result.update(repr(data_state(entry.path)).encode(errors="surrogateescape"))
        elif not stat.S_ISDIR(entry.mode):
            content = hashlib.sha256()
            with entry.path.open("rb") as file:
                while data := file.read(CHUNK):
                    content.update(data)
            result.update(content.digest())
    return result.hexdigest()
