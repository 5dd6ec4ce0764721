"""The workspace of azureml-core. The real client is tested in tests/cli/test_fetch.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from amllog.errors import UsageError
from amllog.insights.fetch.azureml_source import WorkspaceNames, find_workspace

SUBSCRIPTION, GROUP, WORKSPACE = (
    "AZUREML_ARM_SUBSCRIPTION",
    "AZUREML_ARM_RESOURCEGROUP",
    "AZUREML_ARM_WORKSPACE_NAME",
)


@pytest.mark.parametrize(
    ("given", "environ", "expected"),
    [
        (WorkspaceNames(), {}, ("", "", "")),
        (WorkspaceNames("s", "r", "w"), {SUBSCRIPTION: "x"}, ("s", "r", "w")),
        (WorkspaceNames(), {SUBSCRIPTION: "s", GROUP: " r ", WORKSPACE: "w"}, ("s", "r", "w")),
        (WorkspaceNames(config=Path("c")), {SUBSCRIPTION: "s", GROUP: "r", WORKSPACE: "w"}, ("", "", "")),
    ],
)
def test_the_workspace(
    given: WorkspaceNames, environ: dict[str, str], expected: tuple[str, str, str]
) -> None:
    """Arguments precede the environment, and a config.json that is named precedes it, too."""
    assert find_workspace(given, environ)[:3] == expected


def test_an_incomplete_workspace() -> None:
    """The error names each missing option and its variable."""
    with pytest.raises(UsageError, match=f"--resource-group or {GROUP}, --workspace or {WORKSPACE}"):
        find_workspace(WorkspaceNames(subscription_id="s"), {})
