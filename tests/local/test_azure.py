"""Starting, stopping, and the runs of jobs."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

import amllog.local
from amllog.local import AzureOnThisMachine


def test_the_package_exports_its_public_names() -> None:
    """`amllog.local` contains exactly the names that it lists."""
    modules = {path.stem for path in Path(amllog.local.__file__).parent.iterdir()}
    names = {name for name in vars(amllog.local) if not name.startswith("_")} - modules
    assert sorted(names) == amllog.local.__all__


def test_an_object_that_is_not_started(tmp_path: Path) -> None:
    """Before the start there is no address, a stop does nothing, and no file is written."""
    azure = AzureOnThisMachine(tmp_path / "azure")
    azure.stop()
    with pytest.raises(RuntimeError, match="start"):
        _ = azure.url
    assert not (tmp_path / "azure").exists()


def test_a_fixed_port(tmp_path: Path) -> None:
    """The port can be chosen, and a port in use raises OSError at the start."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with AzureOnThisMachine(tmp_path / "one", port=port) as azure:
        assert azure.url == f"http://127.0.0.1:{port}"
        assert f"IngestionEndpoint={azure.url}/" in azure.connection_string
        with pytest.raises(OSError):
            AzureOnThisMachine(tmp_path / "two", port=port).start()


def test_a_second_environment_of_a_run(azure: AzureOnThisMachine) -> None:
    """A second environment for a run changes neither its type nor its ancestors."""
    for _ in range(2):
        azure.job_environment(run_id="run_1", step_name="train", parent_run_id="top")
    assert list(azure.runs) == ["top", "run_1"]
    assert azure.runs["run_1"]["runType"] == "azureml.StepRun"
