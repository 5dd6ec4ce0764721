"""Virtual environments that are built from the pip part of conda files, and kept in a cache of the user by content.

An environment is complete if it contains the file `amllog-environment.json`, which is written last. A process that
dies while it builds leaves an environment without this file, and the next process builds it again. A lock beside the
environment keeps two processes from building it at once.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from amllog.errors import UsageError
from amllog.local.plan.conda_files import CondaRequirements
from amllog.local.plan.interpreters import find_interpreter, query_interpreter
from amllog.process.file_lock import try_lock

COMPLETE = "amllog-environment.json"
REQUIREMENTS = "amllog-requirements.txt"
BUILD_SECONDS = 3600.0
POLL_SECONDS = 0.2
_FILE_OPTION = re.compile(r"(-r|--requirement|-c|--constraint)(?:\s+|=)(?P<file>\S.*)")


def cache_directory(environ: Mapping[str, str]) -> Path:
    """Return the folder of the user's virtual environments."""
    if sys.platform == "win32" and environ.get("LOCALAPPDATA"):
        return Path(environ["LOCALAPPDATA"], "amllog", "environments")
    # The specification of XDG: a relative path is ignored.
    base = environ.get("XDG_CACHE_HOME", "")
    root = Path(base) if os.path.isabs(base) else Path(environ.get("HOME") or Path.home(), ".cache")
    return root / "amllog" / "environments"


class VirtualEnvironments:
    """The virtual environments in a cache folder.

    `report` gets a line when a build begins and ends, because it may take minutes.
    """

    def __init__(
        self, directory: Path, report: Callable[[str], None] = lambda line: None, *, is_building: bool = True
    ) -> None:
        self._directory = directory
        self._report = report
        self._is_building = is_building

    def folder(self, conda: CondaRequirements, base: Path) -> Path:
        """Return the folder of the environment, which depends on its content alone."""
        lines, used = _requirement_lines(conda)
        content = json.dumps([os.path.realpath(base), query_interpreter(base).version, lines, used])
        return self._directory / hashlib.sha256(content.encode()).hexdigest()[:16]

    def python(self, conda: CondaRequirements, base: Path) -> Path | None:
        """Return the interpreter of the environment, and build the environment first if it is not complete.

        Return None if it is not complete and this object does not build. Raise UsageError if the build fails.
        """
        try:
            folder = self.folder(conda, base)
            if not (folder / COMPLETE).is_file():
                if not self._is_building:
                    return None
                self._directory.mkdir(parents=True, exist_ok=True)
                with self._lock(folder) as lock:
                    if not (folder / COMPLETE).is_file():
                        self._build(folder, conda, base, lock)
        except OSError as error:
            place = error.filename or self._directory
            raise UsageError(f"the virtual environment cannot be built: {place}: {error.strerror}") from None
        return find_interpreter(os.fspath(folder), folder)

    @contextlib.contextmanager
    def _lock(self, folder: Path) -> Iterator[int]:
        """Hold the lock of an environment. Wait for another process that builds it, up to the time of a build.

        Yield the descriptor. The commands of the build inherit it: if this process is killed, the lock is held until
        they have ended.
        """
        fd = os.open(f"{folder}.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            ends = time.monotonic() + BUILD_SECONDS
            is_reported = False
            while try_lock(fd) is False:
                if not is_reported:
                    self._report(f"waiting for another process that builds {folder}")
                    is_reported = True
                if time.monotonic() > ends:
                    raise UsageError(f"another process builds {folder} for more than {BUILD_SECONDS:g} s")
                time.sleep(POLL_SECONDS)
            yield fd
        finally:
            os.close(fd)  # releases the lock. The file stays: another process may wait on it

    def _build(self, folder: Path, conda: CondaRequirements, base: Path, lock: int) -> None:
        lines, _ = _requirement_lines(conda)
        if folder.exists() and any(folder.iterdir()):
            if not (folder / REQUIREMENTS).is_file():
                raise UsageError(f"{folder} contains files that amllog did not write: remove the folder")
            shutil.rmtree(folder)
        folder.mkdir(exist_ok=True)
        (folder / REQUIREMENTS).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        self._report(f"building a virtual environment of {len(lines)} requirements in {folder}")
        log = Path(f"{folder}.log")
        with log.open("wb") as output:
            run = _Commands(conda.folder, output.fileno(), log, lock)
            options = [] if lines else ["--without-pip"]
            run([os.fspath(base), "-m", "venv", *options, os.fspath(folder)], "python -m venv")
            python = os.fspath(find_interpreter(os.fspath(folder), folder))
            if lines:
                pip = ["-m", "pip", "install", "--disable-pip-version-check", "--no-input"]
                run([python, *pip, "-r", os.fspath(folder / REQUIREMENTS)], "pip install")
        partial = folder / f"{COMPLETE}.part"
        partial.write_text(
            json.dumps({"python": os.fspath(base), "requirements": list(lines)}), encoding="utf-8"
        )
        os.replace(partial, folder / COMPLETE)
        self._report(f"built {folder}")


class _Commands:
    """The commands of a build, with their output in a log file."""

    def __init__(self, directory: Path, output: int, log: Path, lock: int) -> None:
        self._directory = directory
        self._lock = lock
        self._output = output
        self._log = log

    def __call__(self, words: Sequence[str], name: str) -> None:
        """Run a command. Raise UsageError with its last lines if it fails."""
        try:
            code = subprocess.run(
                words,
                cwd=self._directory,
                stdin=subprocess.DEVNULL,
                stdout=self._output,
                stderr=subprocess.STDOUT,
                timeout=BUILD_SECONDS,
                pass_fds=(self._lock,) if os.name == "posix" else (),
                check=False,
            ).returncode
            reason = f"exit code {code}"
        except subprocess.TimeoutExpired:
            code, reason = 1, f"it took more than {BUILD_SECONDS:g} s"
        if code:
            written = self._log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
            errors = [line for line in written if line.startswith("ERROR")] or written[-3:]
            raise UsageError(
                f"{name} failed ({reason}): {' | '.join(errors[:5])}. Its output is in {self._log}"
            )


def _requirement_lines(conda: CondaRequirements) -> tuple[list[str], dict[str, str]]:
    """Return the lines of the requirements file, and the content of the local files that they name, as hashes."""
    lines: list[str] = []
    used: dict[str, str] = {}
    for line in conda.pip:
        option = _FILE_OPTION.fullmatch(line.strip())
        path = conda.folder / (
            option["file"].strip("'\"") if option else line.strip().partition("-e ")[2] or line
        )
        # pip splits such a line into words as a shell does.
        lines.append(f"{option[1]} {shlex.quote(os.fspath(path))}" if option else line.strip())
        if option or "/" in line or line.strip().endswith((".whl", ".gz")):
            used[os.fspath(path)] = _content_hash(path)
    return lines, used


def _content_hash(path: Path) -> str:
    """Return a hash of a file's content, or of the names, sizes and times of a folder's files."""
    digest = hashlib.sha256()
    if path.is_file():
        digest.update(path.read_bytes())
    elif path.is_dir():
        for folder, names, files in os.walk(path):
            names[:] = sorted(name for name in names if not name.startswith(".") and name != "__pycache__")
            for file in sorted(files):
                state = os.stat(os.path.join(folder, file))
                digest.update(f"{folder}/{file} {state.st_size} {state.st_mtime_ns}\n".encode())
    return digest.hexdigest()
