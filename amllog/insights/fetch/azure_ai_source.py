"""The jobs of a workspace through azure-ai-ml, with the login of azure-identity.

azure-ai-ml downloads all default artifacts of a job at once, and only after its end. So a job is downloaded into a
temporary folder when its files are listed, and its logs and journals are moved from there, perhaps to another disk.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from amllog.errors import UsageError
from amllog.insights.fetch.azureml_source import WorkspaceNames, find_workspace
from amllog.insights.fetch.remote_runs import RemoteRun

PACKAGE = "azure-ai-ml"
_ARTIFACTS = ("artifacts", "hd-artifacts")  # below the folder of a download. The second is that of a sweep


class DownloadedJob:
    """The files in the folder of a download, by their names in the job. Links are no files."""

    def __init__(self, folder: Path) -> None:
        self._paths = {
            path.relative_to(base).as_posix(): path
            for base in (folder / name for name in reversed(_ARTIFACTS))  # those of the first one count
            for path in base.rglob("*")
            if path.is_file() and not path.is_symlink()
        }

    @property
    def names(self) -> Sequence[str]:
        """The names of all files that were not moved."""
        return list(self._paths)

    def move(self, name: str, target: Path) -> None:
        """Move a file to a path. Raises OSError."""
        path = self._paths.pop(name, None)
        if path is None:
            raise FileNotFoundError(name)
        shutil.move(path, target)


class AzureAIJobs:
    """The jobs of a workspace. It is connected at the first call. Downloads are in `folder` until they are moved."""

    def __init__(self, given: WorkspaceNames, environ: Mapping[str, str], folder: Path) -> None:
        self._names, self._folder = find_workspace(given, environ), folder
        self._clients: list[Any] = []
        self._downloads: dict[str, DownloadedJob] = {}

    def run(self, run_id: str) -> RemoteRun:
        """Return a job."""
        return _remote(self._client().jobs.get(run_id))

    def descendants(self, run_id: str) -> Sequence[RemoteRun]:
        """Return the jobs below a job, at any depth."""
        jobs, pending = dict[str, RemoteRun](), [run_id]
        while pending:
            for job in self._client().jobs.list(parent_job_name=pending.pop()):
                if job.name not in jobs and job.name != run_id:
                    jobs[job.name] = _remote(job)
                    pending.append(job.name)
        return list(jobs.values())

    def files(self, run_id: str) -> Sequence[str]:
        """Download a job and return the names of its files."""
        folder = Path(tempfile.mkdtemp(prefix="job-", dir=self._folder))
        self._client().jobs.download(run_id, download_path=folder)
        self._downloads[run_id] = DownloadedJob(folder)
        return self._downloads[run_id].names

    def download(self, run_id: str, name: str, target: Path) -> None:
        """Move a file of a downloaded job to a path."""
        self._downloads[run_id].move(name, target)

    def _client(self) -> Any:
        if not self._clients:
            try:
                from azure.ai.ml import MLClient
                from azure.identity import DefaultAzureCredential
            except ImportError as error:
                raise UsageError(f"--sdk {PACKAGE}: {error}: pip install {PACKAGE} azure-identity") from error
            credential = DefaultAzureCredential()
            if self._names.workspace_name:
                self._clients.append(MLClient(credential, *self._names[:3]))
            else:
                config = self._names.config
                self._clients.append(MLClient.from_config(credential, path=str(config) if config else None))
        return self._clients[0]


def _remote(job: Any) -> RemoteRun:
    """Return a job of azure-ai-ml. Children of a pipeline have fewer properties."""
    created = getattr(getattr(job, "creation_context", None), "created_at", None)
    name = getattr(job, "display_name", None) or job.name
    return RemoteRun(job.name, str(name), str(job.status or "").lower(), str(created or ""))
