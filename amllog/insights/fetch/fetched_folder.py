"""The folder of a fetched run on this machine.

A run is in `<directory>/<run id>/`, and its steps are in `steps/<name>/` below, as `amllog run` writes them. The files
keep their names. `run.json` and `step.json` list the files that are complete, so that a second fetch only loads the
others. Every file is written under another name first and renamed.

Only files that this module has written are replaced. A folder or a file of another program is an error, and links are
not followed.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from amllog.errors import UsageError
from amllog.insights.driver_logs.log_folders import RUN_FILE, STEP_FILE, STEPS, read_json, text_of
from amllog.insights.fetch.remote_runs import RemoteRun, defect_of_name
from amllog.insights.stores.local.atomic_files import write_atomically

MARK = "amllog fetch"  # the value of `written_by` in our files
_PARTS = ".fetch-"  # the beginning of the names of folders for files that are being loaded
_ABANDONED_SECONDS = 3600.0
_RUN_ID = re.compile(r"[A-Za-z0-9_][\w.-]{0,250}", re.ASCII)
_ODD = re.compile(r"[^\w.() -]")
_CHECKPOINT = ".ack"
_SAVE_SECONDS = 2.0
_UP = 8  # folders between a journal and the file of its run


class FetchedFolder:
    """The folder of one run or step."""

    def __init__(
        self, path: Path, file_name: str, run: RemoteRun, details: Mapping[str, Any] | None = None
    ) -> None:
        self.path, self.run = path, run
        self._file = path / file_name
        before = read_json(self._file)
        values = before.get("files")
        files: dict[str, object] = values if isinstance(values, dict) else {}
        self._known = set(files)
        # The sizes of the files that were loaded after the end of the run.
        has_ended = before.get("has_ended") is True
        self._sizes = {name: size for name, size in files.items() if has_ended and isinstance(size, int)}
        self._details = dict(details or {})
        self._saved = 0.0

    def has(self, name: str) -> bool:
        """Return whether a file is here as it was when the run had ended.

        A checkpoint of a journal is here in any size. `amllog deliver` has written to it, and an older one would let it
        send the records again.
        """
        path, size = self.path / name, self._sizes.get(name)
        if size is None or path.is_symlink() or not path.is_file():
            return False
        return name.endswith(_CHECKPOINT) or path.stat().st_size == size

    def target(self, name: str) -> Path:
        """Return the path of a file, whose folder exists then.

        Raises OSError if the path is used by another program, leads through a link, or cannot be created.
        """
        defect = defect_of_name(name)
        if defect:
            raise OSError(f"its name {defect}")
        *folders, last = name.split("/")
        place = self.path
        for folder in folders:
            place = place / folder
            if place.is_symlink():
                raise OSError(f"{place} is a symbolic link")
            place.mkdir(exist_ok=True)
        path = place / last
        if os.path.lexists(path) and (path.is_symlink() or not path.is_file() or name not in self._known):
            raise OSError(f"{path} exists and was not fetched by amllog")
        return path

    def announce(self, names: Iterable[str]) -> None:
        """Note which files are going to be written, so that they are recognized after a kill.

        A file that is here already, and that amllog has not written, stays unknown.
        """
        self._known.update(name for name in names if not os.path.lexists(self.path / name))
        self.save(is_complete=False)

    def add(self, name: str, part: Path) -> int:
        """Move a loaded file to its place and return its size in bytes."""
        path, size = self.target(name), part.stat().st_size
        os.replace(part, path)
        self._sizes[name] = size
        if time.monotonic() - self._saved > _SAVE_SECONDS:
            self.save(is_complete=False)
        return size

    def save(self, *, is_complete: bool = True) -> None:
        """Write the file with the state of the run and of its files."""
        values = {
            "written_by": MARK,
            "run_id": self.run.run_id,
            "name": self.run.name,
            "state": self.run.state,
            "started": self.run.started,
            "is_complete": is_complete and self.run.has_ended,
            "has_ended": self.run.has_ended,
            **self._details,
            "files": {**dict.fromkeys(sorted(self._known)), **self._sizes},
        }
        self._saved = time.monotonic()
        write_atomically(
            self._file, json.dumps(values, ensure_ascii=False, indent=1).encode("utf-8", "replace")
        )


def open_run(directory: Path, run: RemoteRun, details: Mapping[str, Any] | None = None) -> FetchedFolder:
    """Return the folder of a run, which is created. UsageError if it is used by another program."""
    if not _RUN_ID.fullmatch(run.run_id):
        raise UsageError(f"{run.run_id!r} is no run id: expected letters, digits, '_', '.' and '-'")
    return FetchedFolder(_our_folder(directory / run.run_id, RUN_FILE, run.run_id), RUN_FILE, run, details)


def open_step(root: Path, step: RemoteRun) -> FetchedFolder:
    """Return the folder of a step below its run. Steps of the same name are told apart by their ids."""
    name = _ODD.sub("_", step.name).strip(" .")[:100] or step.run_id
    (root / STEPS).mkdir(exist_ok=True)
    path = root / STEPS / name
    if os.path.lexists(path) and text_of(read_json(path / STEP_FILE), "run_id") != step.run_id:
        path = root / STEPS / f"{name}-{_ODD.sub('_', step.run_id)}"
    return FetchedFolder(_our_folder(path, STEP_FILE, step.run_id), STEP_FILE, step)


def temporary_folder(root: Path) -> Path:
    """Return a new folder for files that are being loaded. Those that killed processes left behind are deleted."""
    for path in root.glob(f"{_PARTS}*"):
        if (
            path.is_dir()
            and not path.is_symlink()
            and time.time() - path.stat().st_mtime > _ABANDONED_SECONDS
        ):
            shutil.rmtree(path, ignore_errors=True)
    return Path(tempfile.mkdtemp(prefix=_PARTS, dir=root))


def unfinished_run(directory: Path) -> str:
    """Return the id of the fetched run that a folder belongs to, if it had not ended when it was fetched. Else ""."""
    place = directory.absolute()
    for folder in (place, *list(place.parents)[:_UP]):
        for name in (STEP_FILE, RUN_FILE):
            values = read_json(folder / name)
            if values.get("written_by") == MARK:
                return "" if values.get("has_ended") is True else text_of(values, "run_id") or "?"
    return ""


def _our_folder(path: Path, file_name: str, run_id: str) -> Path:
    """Create a folder, or return it if it is empty or has the file of this run. Otherwise UsageError."""
    if path.is_symlink():
        raise UsageError(f"{path} is a symbolic link: pass another directory with -o")
    path.mkdir(parents=True, exist_ok=True)
    values = read_json(path / file_name)
    is_ours = values.get("written_by") == MARK and text_of(values, "run_id") == run_id
    if not is_ours and any(path.iterdir()):
        raise UsageError(f"{path} exists and was not made by amllog fetch: pass another directory with -o")
    return path
