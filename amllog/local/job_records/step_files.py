"""The files of a step that Azure ML uploads at its end: `./outputs`, `./logs` and the driver logs.

They become artifacts of the run under these names. An artifact that the script has uploaded stays. Links are not
followed, because their targets may be outside of the job.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from amllog.local.azureml.artifacts import ArtifactStore
from amllog.local.http.request import Refusal

FOLDERS = ("outputs", "logs")
DRIVER_LOGS = "user_logs"
FILES_MAX = 10_000


def add_files(artifacts: ArtifactStore, container: str, work: Path, folder: Path) -> list[str]:
    """Add the files of a step to the artifacts of its run. Return a sentence for each that could not be added."""
    problems: list[str] = []
    places = [(work, name) for name in FOLDERS] + [(folder, DRIVER_LOGS)]
    number = 0
    for base, name in places:
        for path in _files(base / name):
            number += 1
            if number > FILES_MAX:
                return [
                    *problems,
                    f"{base / name}: more than {FILES_MAX:,} files, of which the others are no artifacts",
                ]
            try:
                artifacts.add_file("ExperimentRun", container, path.relative_to(base).as_posix(), path)
            except (OSError, Refusal) as error:
                problems.append(
                    f"{path}: is no artifact of the run: {getattr(error, 'strerror', None) or error}"
                )
    return problems


def driver_logs(folder: Path) -> list[Path]:
    """Return the driver logs of a step, in the order of the processes."""
    return sorted(_files(folder / DRIVER_LOGS))


def _files(folder: Path) -> Iterator[Path]:
    """Yield the regular files in and below a folder."""
    pending = [folder]
    while pending:
        try:
            with os.scandir(pending.pop()) as entries:
                for entry in sorted(entries, key=lambda entry: entry.name):
                    if entry.is_dir(follow_symlinks=False):
                        pending.append(Path(entry.path))
                    elif entry.is_file(follow_symlinks=False):
                        yield Path(entry.path)
        except OSError:
            continue  # there is none, or it was deleted
