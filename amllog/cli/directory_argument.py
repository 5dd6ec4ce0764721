"""The argument for a journal directory, and the directory that it means.

The parser imports this module for every command, so it imports none that reads a journal.
"""

from __future__ import annotations

import os
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping
from pathlib import Path

from amllog.config import user_path
from amllog.config.variables import DEFAULT_DIRECTORY, candidate_directories
from amllog.errors import UsageError


def add_directory(command: ArgumentParser) -> None:
    """Add the arguments that `journal_directory` reads, and --json."""
    text = f"the journal directory (default: {DEFAULT_DIRECTORY})"
    command.add_argument("directory", nargs="?", type=Path, metavar="DIR", help=text)
    command.add_argument(
        "--dir", "--directory", dest="named_directory", type=Path, metavar="DIR", help="the same"
    )
    command.add_argument("--json", action="store_true", help="print the answer as JSON")


def journal_directory(options: Namespace, environ: Mapping[str, str]) -> Path:
    """Return the journal directory from the arguments, AMLLOG_DIR or the defaults.

    Raises UsageError if it does not exist or cannot be read.
    """
    given = options.directory or options.named_directory
    names = [given] if given else candidate_directories(environ)
    candidates = [user_path.expand_path(name) for name in names]
    directory = next((path for path in candidates if user_path.is_directory(path)), None)
    if directory is None:
        raise UsageError(
            f"no journal in {' or '.join(map(str, candidates))}: pass its directory, or set AMLLOG_DIR"
        )
    try:
        os.scandir(directory).close()
    except OSError as error:
        raise UsageError(f"{directory} cannot be read: {error.strerror}") from error
    return directory
