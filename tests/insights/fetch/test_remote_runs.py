"""The names of the files that are fetched."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from amllog.insights.fetch.remote_runs import RemoteRun, defect_of_name, is_wanted

JOURNAL = "20261130T101112-node-7-abc123"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("user_logs/std_log.txt", True),
        ("azureml-logs/70_driver_log.txt", True),
        ("system_logs/lifecycler/lifecycler.log", True),
        (f"logs/amllog/{JOURNAL}.jsonl", True),
        (f"outputs/mine/{JOURNAL}.jsonl", True),
        (f"{JOURNAL}.ack", True),
        ("outputs/model.pkl", False),
        (f"outputs/{JOURNAL}.txt", False),
        ("logs", False),
        ("train.py", False),
    ],
)
def test_logs_and_journals(name: str, expected: bool) -> None:
    """Logs are fetched, and journals wherever they are. Outputs are not."""
    assert is_wanted(name) is expected


@pytest.mark.parametrize(
    "name", ["", "/etc/x", "a/../../x", "..", "a//b", "a/.", "a\\b", "C:/x", "a\0b", "a\nb", "x" * 1001]
)
def test_names_that_are_no_paths(name: str) -> None:
    """A name that leads out of its folder, or that a system takes for something else, has a defect."""
    assert defect_of_name(name)


@given(st.lists(st.text(), min_size=1).map("/".join))
def test_a_name_without_a_defect_stays_below_its_folder(name: str) -> None:
    """A name without a defect is a path below any folder, and not the folder itself."""
    if not defect_of_name(name):
        path = Path("/folder", name)
        assert path.is_relative_to("/folder")
        assert ".." not in path.parts
        assert path != Path("/folder")


def test_states() -> None:
    """The files of a run are complete in its last states only."""
    states = ("completed", "failed", "canceled", "running", "finalizing", "")
    assert [RemoteRun("r", "n", state).has_ended for state in states] == [True] * 3 + [False] * 3
