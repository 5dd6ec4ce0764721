"""The folder of one run: its layout, its state file and the files of its steps.

```
amllog-runs/.gitignore
amllog-runs/<run id>/run.json            the run: its source, its state
                    /lock                locked as long as the runner lives
                    /azure/              the local Azure
                    /steps/<step>/step.json
                                 /exit.json           the exit of the process, by the keeper
                                 /user_logs/std_log.txt
                                 /work/               the working directory
                                 /command.sh          a command that is too long for an argument
                                 /outputs/<output>
```
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Any, NamedTuple, final
from urllib.parse import quote

from amllog.errors import UsageError
from amllog.local.execution.step_events import RunState, StepState
from amllog.process.file_lock import try_lock

FORMAT = 1
NAME_LENGTH_MAX = 120


def write_json(path: Path, content: object) -> None:
    """Replace a file at once. A reader sees the old or the new content. Raises OSError."""
    new = path.with_name(path.name + ".new")
    try:
        new.write_text(json.dumps(content, indent=1), encoding="utf-8")
        new.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            new.unlink()
        raise OSError(error.errno, error.strerror, str(path)) from error


def read_json(path: Path) -> dict[str, Any]:
    """Return the object in a file. Empty if there is none, or if it is damaged."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


class StepRecord(NamedTuple):
    """The result of a step, as step.json keeps it."""

    name: str
    state: StepState
    run_id: str = ""
    started: float | None = None
    seconds: float | None = None
    exit_code: int | None = None
    reason: str = ""
    folder: str = ""  # of the run in which it ran
    identity: str = ""  # `<run>/<step>` of the execution that made the outputs
    key: str = ""  # of its command, code, inputs and environment
    outputs: Mapping[str, str] = MappingProxyType({})  # names and absolute paths

    def write(self, folder: Path) -> None:
        """Write the file of a step. Raises OSError."""
        write_json(
            folder / "step.json", {**self._asdict(), "state": self.state.value, "outputs": dict(self.outputs)}
        )

    @classmethod
    def read(cls, folder: Path) -> StepRecord | None:
        """Read the file of a step. Return None if there is none, or if another version wrote it."""
        content = read_json(folder / "step.json")
        try:
            return cls(**{**content, "state": StepState(content.get("state"))})
        except (TypeError, ValueError):
            return None


@final
class LocalRunFolder:
    """The folder of a run, for the process that runs it. Use it as a context manager: it holds the lock."""

    def __init__(self, runs: Path, run_id: str) -> None:
        self.run_id = run_id
        self.path = runs / run_id
        self._runs = runs
        self._lock_file: int | None = None

    def __enter__(self) -> LocalRunFolder:
        try:
            self._create()
        except OSError as error:
            raise UsageError(
                f"The folder of the run cannot be created: {error.strerror}: {error.filename}"
            ) from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._lock_file is not None:
            os.close(self._lock_file)

    def _create(self) -> None:
        if not self._runs.exists():
            self._runs.mkdir(parents=True, exist_ok=True)
            (self._runs / ".gitignore").write_text("*\n", encoding="utf-8")
        # Logs and data are for this user, as in the journal directory.
        self.path.mkdir(mode=0o700, parents=True)
        (self.path / "steps").mkdir()
        self._lock_file = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try_lock(self._lock_file)

    @property
    def azure(self) -> Path:
        """The data of the local Azure."""
        return self.path / "azure"

    def step(self, name: str) -> Path:
        """Return the folder of a step. Characters that no file name has are escaped."""
        text = quote(name, safe=" ()+,=@")
        text = "%2E" + text[1:] if text.startswith(".") else text
        return self.path / "steps" / (text if len(text) <= NAME_LENGTH_MAX else shortened(text, name))

    def begin(self, **content: object) -> None:
        """Write the state of a run that begins. Raises UsageError, for example if the disk is full."""
        try:
            self.write_state(**content, state=RunState.RUNNING.value, started=time.time())
        except OSError as error:
            raise UsageError(
                f"The state of the run cannot be written: {error.strerror}: {self.path}"
            ) from error

    def write_state(self, **content: object) -> None:
        """Write run.json. Raises OSError."""
        write_json(
            self.path / "run.json", {"format": FORMAT, "run_id": self.run_id, "pid": os.getpid(), **content}
        )


def shortened(text: str, name: str) -> str:
    """Return a long name as its beginning and a hash."""
    import hashlib

    return f"{text[: NAME_LENGTH_MAX - 17]}-{hashlib.sha256(name.encode(errors='replace')).hexdigest()[:16]}"


def error_text(error: Exception) -> str:
    """Return an error as the reason of a step, with its file."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}: {error.filename}" if error.filename else error.strerror
    return str(error)
