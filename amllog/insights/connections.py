"""`connect()`: which store to ask, from arguments and the environment.

In: directories, or ids of the service, or neither. Out: `Questions` over that store.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from os import PathLike
from pathlib import Path

from amllog.errors import UsageError
from amllog.insights.local_store import LocalStore
from amllog.insights.questions import Questions


def connect(*paths: str | PathLike[str], environ: Mapping[str, str] | None = None) -> Questions:
    """The questions, over journals: in and below `paths`, else AMLLOG_DIR, else where `setup()` puts them.

    A path may be a journal directory, a folder of downloaded runs (`logs/amllog` somewhere in it), or one file.
    `environ` stands in for the process's environment. UsageError if there is no such place.
    """
    return Questions(LocalStore(places(paths, os.environ if environ is None else environ)))


def places(paths: Iterable[str | PathLike[str]], environ: Mapping[str, str]) -> list[Path]:
    """The directories and files to read; UsageError names what is missing."""
    given = [Path(path) for path in paths]
    missing = [str(path) for path in given if not path.exists()]
    if missing:
        raise UsageError(f"no such directory or file: {', '.join(missing)}")
    if given:
        return given
    named = environ.get("AMLLOG_DIR", "").strip()
    usual = [Path(named)] if named else [Path(".amllog"), Path("logs", "amllog")]
    found = [path for path in usual if path.is_dir()]
    if not found:
        looked = " and ".join(map(str, usual))
        raise UsageError(f"no journal here (looked for {looked}): set AMLLOG_DIR, or name a directory")
    return found
