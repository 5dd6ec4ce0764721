"""azure-ai-ml, which the test environment does not have. It was tried by hand (docs/decisions/0055-driver-logs.md)."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from amllog.errors import UsageError
from amllog.insights.fetch.azure_ai_source import AzureAIJobs, DownloadedJob
from amllog.insights.fetch.azureml_source import WorkspaceNames


def test_without_the_package(tmp_path: Path) -> None:
    """The error has the command that installs it."""
    pytest.importorskip("azure.core")
    try:
        import azure.ai.ml  # noqa: F401  not installed, as a rule
    except ImportError:
        with pytest.raises(UsageError, match="pip install azure-ai-ml"):
            AzureAIJobs(WorkspaceNames("s", "r", "w"), {}, tmp_path).run("x")


@pytest.mark.skipif(not os.path.isdir("/dev/shm"), reason="only Linux has a disk in memory")
def test_a_downloaded_file_is_moved_to_another_disk(tmp_path: Path) -> None:
    """Files have the names of the job, and the temporary folder may be on another disk than the folder of the run."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as temporary:
        folder = Path(temporary)
        for name in (
            "artifacts/user_logs/std_log.txt",
            "hd-artifacts/user_logs/std_log.txt",
            "named-outputs/x",
        ):
            (folder / name).parent.mkdir(parents=True)
            (folder / name).write_text(name)
        (folder / "artifacts/link").symlink_to("user_logs/std_log.txt")
        job = DownloadedJob(folder)
        assert job.names == ["user_logs/std_log.txt"]
        job.move("user_logs/std_log.txt", tmp_path / "log")
        assert (tmp_path / "log").read_text() == "artifacts/user_logs/std_log.txt"
        with pytest.raises(FileNotFoundError, match=r"user_logs/std_log\.txt"):
            job.move("user_logs/std_log.txt", tmp_path / "log")
