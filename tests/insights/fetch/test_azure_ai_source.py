"""azure-ai-ml, which the test environment does not have. It was tried by hand (docs/decisions/0055-driver-logs.md)."""

from __future__ import annotations

from pathlib import Path

import pytest

from amllog.errors import UsageError
from amllog.insights.fetch.azure_ai_source import AzureAIJobs
from amllog.insights.fetch.azureml_source import WorkspaceNames


def test_without_the_package(tmp_path: Path) -> None:
    """The error has the command that installs it."""
    pytest.importorskip("azure.core")
    try:
        import azure.ai.ml  # noqa: F401  not installed, as a rule
    except ImportError:
        with pytest.raises(UsageError, match="pip install azure-ai-ml"):
            AzureAIJobs(WorkspaceNames("s", "r", "w"), {}, tmp_path).run("x")
