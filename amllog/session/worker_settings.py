"""Leaves setup()'s arguments in the environment, for worker processes that never call setup().

In: setup()'s arguments. Out: those that a worker can do with, without secrets: what it cannot send it leaves in the
journal, and its parent, which knows where to, delivers it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, MutableMapping
from pathlib import Path

from amllog.config.variables import WORKERS
from amllog.process import interrupts
from amllog.record.redaction import Redactor

# Of all arguments. Linux starts no process with a variable of more than 128 KiB ("Argument list too long").
MAX_CHARACTERS = 32 * 1024
_SECRET = "connection_string"  # always has a key: a search for it would compile expressions for 10 ms


def export_arguments(
    environ: MutableMapping[str, str],
    arguments: Mapping[str, object],
    directory: Path,
    notice: Callable[[str], object],
) -> None:
    """Have workers set up as this process did, with `directory` for their journals.

    Where the arguments are too long for the environment, the longest are left out. `notice` gets a sentence for each.
    """
    plain = {name: value for name, value in arguments.items() if name != _SECRET and _is_plain(value)}
    while len(json.dumps(plain)) > MAX_CHARACTERS:
        longest = max(plain, key=lambda name: len(json.dumps(plain[name])))
        del plain[longest]
        notice(
            f"setup({longest}=…) is too long for the environment: workers that do not call setup() do not have it"
        )
    environ[WORKERS] = json.dumps({**plain, "directory": str(directory)})


def remove_arguments(environ: MutableMapping[str, str]) -> None:
    """No more."""
    environ.pop(WORKERS, None)


def read_arguments(environ: Mapping[str, str]) -> dict[str, object] | None:
    """The arguments that the parent left; None if there are none."""
    try:
        arguments = json.loads(environ.get(WORKERS, ""))
    except ValueError as error:
        interrupts.pass_on(error)
        return None
    return arguments if isinstance(arguments, dict) else None


def _is_plain(value: object) -> bool:
    """Whether JSON has it as it is, and nothing in it looks like a secret."""
    try:
        written = json.dumps(value)
    except (TypeError, ValueError, RecursionError) as error:
        interrupts.pass_on(error)
        return False
    return value is not None and Redactor().mask(written) == written
