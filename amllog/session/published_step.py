"""The step of a process as its worker processes get it: a string, and the three places where it is published.

1. The environment (`AMLLOG_WORKERS`) reaches every process that is started later.
2. A note (`process/ancestors`) reaches every process below this one, also one that is older than setup().
3. The process objects of multiprocessing (`process/process_objects`) reach workers in which nothing mentions amllog.

The first and the third contain no secrets, because every child process can read the environment, and objects may be
stored. A worker without the connection string leaves its records in the journal, and the step delivers them.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping, MutableMapping
from pathlib import Path
from typing import Any, NamedTuple

from amllog.config.settings import Settings
from amllog.config.variables import WORKERS
from amllog.context.identity import Identity
from amllog.process import interrupts, process_objects
from amllog.process.ancestors import Note
from amllog.record.redaction import Redactor

# The limit for all arguments. Linux starts no process with a variable of more than 128 KiB ("Argument list too long").
MAX_CHARACTERS = 32 * 1024
# It always has a key. A search for the key would compile expressions for 10 ms.
_SECRET = "connection_string"
# The values that a string may omit because they are secrets, or that JSON has as null.
_OPTIONAL: Mapping[str, Any] = {"build_url": "", "rank": None}


class PublishedStep(NamedTuple):
    """A step as its workers know it."""

    arguments: Mapping[str, object]  # of setup()
    identity: Identity
    directory: Path
    process: str  # the token of the process that is the step
    made: float  # the time of setup() in seconds since 1970: of two steps, a process works for the newer one


def write_step(step: PublishedStep, *, private: bool = False) -> str:
    """Return the step as JSON. `private`: with secrets. Arguments that JSON cannot express are left out."""
    arguments = {
        name: value
        for name, value in step.arguments.items()
        if _is_json(value) and (private or (name != _SECRET and _is_public(value)))
    }
    identity = dataclasses.asdict(step.identity)
    return json.dumps(
        {
            "arguments": arguments,
            "identity": {name: value for name, value in identity.items() if private or _is_public(value)},
            "directory": str(step.directory),
            "process": step.process,
            "made": step.made,
        }
    )


def read_step(text: str) -> PublishedStep | None:
    """Return the step. None if the string is of another version of amllog, or of another program."""
    try:
        step = json.loads(text)
        identity = Identity(**{**_OPTIONAL, **step["identity"]})
        made, directory, process = float(step["made"]), step["directory"], step["process"]
        values = dataclasses.asdict(identity)
        rank, flags = values.pop("rank"), [values.pop(name) for name in ("in_job", "has_retry")]
        strings = all(isinstance(value, str) for value in (directory, process, *values.values()))
        if (
            not strings
            or not isinstance(rank, (int, type(None)))
            or not all(isinstance(flag, bool) for flag in flags)
            or made != made
        ):
            return None
        return PublishedStep(dict(step["arguments"]), identity, Path(directory), process, made)
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError) as error:
        interrupts.pass_on(error)
        return None


def arguments_for_workers(
    arguments: Mapping[str, object], settings: Settings, credential: object, notice: Callable[[str], object]
) -> dict[str, object]:
    """Return the arguments for workers: without the longest if all are too long for the environment.

    `notice` gets a message for each one that is left out. The connection string is that of `settings`. A resource that
    needs a `credential` has none, because the credential cannot be passed on: the step delivers the records.
    """
    target = settings.connection_string
    plain = {name: value for name, value in arguments.items() if name != _SECRET and _is_json(value)}
    while len(json.dumps(plain)) > MAX_CHARACTERS:
        longest = max(plain, key=lambda name: len(json.dumps(plain[name])))
        del plain[longest]
        notice(
            f"setup({longest}=…) is too long for the environment: workers that do not call setup() do not have it"
        )
    return plain if target is None or credential is not None else {**plain, _SECRET: target.text}


class Invitation:
    """A step in the process objects of multiprocessing. A worker that unpickles it calls `accept` with the step."""

    def __init__(self, text: str, accept: Callable[[str], object]) -> None:
        self.text, self._accept = text, accept

    def __reduce__(self) -> tuple[Callable[[str], object], tuple[str]]:
        # Another interpreter may not have amllog. It would fail to unpickle the process object.
        return self._accept if process_objects.is_usual_interpreter() else str, (self.text,)


class Publication:
    """The step of this process in the three places."""

    def __init__(self, environ: MutableMapping[str, str], accept: Callable[[str], object]) -> None:
        """`accept`: see `Invitation`."""
        self._environ, self._accept = environ, accept
        self._note = Note()
        self.text = ""  # without secrets, for pickled objects
        self._is_own = False

    def publish(self, step: PublishedStep) -> None:
        """Publish a step that this process is."""
        self._publish(step)
        self._note.write(write_step(step, private=True))
        self._is_own = True

    def pass_on(self, step: PublishedStep) -> None:
        """Publish the step that this process works for. Its children find the note of that step."""
        self._publish(step)

    def withdraw(self) -> None:
        """Remove the step from all places. The variable of a worker stays, because it is that of its step."""
        if self._is_own:
            self._environ.pop(WORKERS, None)
            self._note.remove()
        self.text, self._is_own = "", False
        process_objects.remove()

    def _publish(self, step: PublishedStep) -> None:
        self.text = self._environ[WORKERS] = write_step(step)
        process_objects.put(Invitation(self.text, self._accept))


def _is_json(value: object) -> bool:
    try:
        return value is not None and json.dumps(value) != ""
    except (TypeError, ValueError, RecursionError) as error:
        interrupts.pass_on(error)
        return False


def _is_public(value: object) -> bool:
    """Return whether nothing in the value looks like a secret."""
    written = json.dumps(value)
    return Redactor().mask(written) == written
