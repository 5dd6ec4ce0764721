"""The line of a user's source at which a step failed. A traceback names the copy in which the step ran."""

from __future__ import annotations

import os
from pathlib import Path

from amllog.local.job_records import step_files


def failed_line(folder: Path, source: Path) -> tuple[Path, int] | None:
    """Return the file in `source` and the line of the innermost frame that is in a copied file.

    `folder` is that of the step, and `source` the folder of which its working directory is a copy. None if no driver
    log ends with a traceback through such a file.
    """
    from amllog.local.job_records import driver_tracebacks  # slow to import, and only a failure needs it

    work = os.path.realpath(folder / "work")
    for log in step_files.driver_logs(folder):
        for exception in driver_tracebacks.last_exceptions(driver_tracebacks.read_tail(log)):
            for frame in reversed(exception.frames):
                name = os.path.join(work, frame.file.replace("\0", ""))  # a log may contain any bytes
                file = os.path.relpath(os.path.realpath(name), work)
                if not file.startswith(os.pardir) and os.path.isfile(source / file):
                    return source / file, frame.line
    return None
