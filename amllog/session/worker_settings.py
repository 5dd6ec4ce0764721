"""Pass the arguments of setup() through the environment to worker processes that do not call it.

Secrets are left out, because every child process can read the environment. A worker without the connection string
leaves its records in the journal, and its parent delivers them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, MutableMapping
from pathlib import Path

from amllog.config.variables import WORKERS
from amllog.process import interrupts
from amllog.record.redaction import Redactor

# The limit for all arguments. Linux starts no process with a variable of more than 128 KiB ("Argument list too long").
MAX_CHARACTERS = 32 * 1024
# It always has a key. A search for the key would compile expressions for 10 ms.
_SECRET = "connection_string"


def export_arguments(
    environ: MutableMapping[str, str],
    arguments: Mapping[str, object],
    directory: Path,
    notice: Callable[[str], object],
) -> None:
    """Make workers set up as this process did, with `directory` for their journals.

    If the arguments are too long for the environment, the longest are left out, and `notice` gets a message for each.
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
    """Remove the arguments from the environment."""
    environ.pop(WORKERS, None)


def read_arguments(environ: Mapping[str, str]) -> dict[str, object] | None:
    """Return the arguments of the parent process, or None."""
    try:
        arguments = json.loads(environ.get(WORKERS, ""))
    except ValueError as error:
        interrupts.pass_on(error)
        return None
    return arguments if isinstance(arguments, dict) else None


def _is_plain(value: object) -> bool:
    """Return whether JSON can express the value and nothing in it looks like a secret."""
    try:
        written = json.dumps(value)
    except (TypeError, ValueError, RecursionError) as error:
        interrupts.pass_on(error)
        return False
    return value is not None and Redactor().mask(written) == written
