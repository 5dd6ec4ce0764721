"""The script, the directory, the build and the rank of a process."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from amllog.context import environment


@pytest.mark.parametrize(
    ("environ", "rank"),
    [({"RANK": "3"}, 3), ({"OMPI_COMM_WORLD_RANK": "2"}, 2), ({"PMI_RANK": "1"}, 1), ({"AZUREML_CR_NODE_RANK": "0"}, 0),
     ({"RANK": "x"}, None), ({}, None),
     ({"TF_CONFIG": '{"cluster": {"chief": ["a"], "worker": ["b", "c"]}, "task": {"type": "worker", "index": 1}}'}, 2),
     ({"TF_CONFIG": '{"task": {"type": "worker", "index": 1}}'}, None), ({"TF_CONFIG": "no json"}, None),
     ({"RANK": "1", "OMPI_COMM_WORLD_RANK": "2"}, 1)],
)  # fmt: skip
def test_rank(environ: dict[str, str], rank: int | None) -> None:
    """The rank is that of PyTorch, MPI, TensorFlow or Azure ML, in this order."""
    assert environment.rank(environ) == rank


@pytest.mark.parametrize(
    ("environ", "url", "version"),
    [
        ({"BUILD_BUILDID": "7",
          "SYSTEM_TEAMFOUNDATIONCOLLECTIONURI": "https://dev.azure.com/o/", "SYSTEM_TEAMPROJECT": "p",
          "BUILD_BUILDNUMBER": "2026.1"}, "https://dev.azure.com/o/p/_build/results?buildId=7", "2026.1"),
        ({"BUILD_BUILDID": "7", "SYSTEM_TEAMFOUNDATIONCOLLECTIONURI": "https://o.visualstudio.com",
          "SYSTEM_TEAMPROJECT": "our project"},
         "https://o.visualstudio.com/our%20project/_build/results?buildId=7", "7"),
        ({"GITHUB_REPOSITORY": "o/r", "GITHUB_RUN_ID": "8", "GITHUB_SHA": "abc"}, "https://github.com/o/r/actions/runs/8",
         "abc"),
        ({"AZUREML_GIT_COMMIT": "def"}, "", "def"),
        ({}, "", ""),
    ],
)  # fmt: skip
def test_build_and_version(environ: dict[str, str], url: str, version: str) -> None:
    """The build comes from the variables of each service."""
    assert environment.build_info(environ, {}) == (url, version)


def test_build_of_the_submitter() -> None:
    """Without variables of a build, it comes from the git properties of the run."""
    properties = {"azureml.git.build_uri": "https://b", "mlflow.source.git.commit": "abc"}
    assert environment.build_info({}, properties) == ("https://b", "abc")


@pytest.mark.parametrize(
    ("argv", "name"),
    [
        (["/a/train.py"], "train.py"),
        ([Path("/a/b.py")], "b.py"),
        ([b"/a/c.py"], "c.py"),
        ([], ""),
        (None, ""),
        ([3], ""),
    ],
)
def test_script_name(monkeypatch: pytest.MonkeyPatch, argv: object, name: str) -> None:
    """The name of the script is the file name of `sys.argv[0]`, if that is a path."""
    monkeypatch.setattr(sys, "argv", argv)
    assert environment.script_name() == name


@pytest.mark.parametrize("value", ["", "no json", "[]", "null", "3"])
def test_variable_without_an_object(value: str) -> None:
    """A variable with anything but a JSON object is empty."""
    assert environment.json_object({"X": value}, "X") == {}


def test_file_uri() -> None:
    """Only an absolute path has a URI."""
    assert environment.file_uri(Path("a")) == ""
    assert environment.file_uri(Path("/a b").absolute()).startswith("file:///")
