"""Scripts that are run one by one outside Azure ML, as one run by AMLLOG_LOCAL_RUN."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import amllog
from amllog.insights import connect

SCRIPT = """
import multiprocessing, subprocess, sys
import amllog

log = amllog.setup(step_name=sys.argv[1], metrics="none")

def work(name):
    amllog.get_logger("worker").info(f"worker of {name}")

if __name__ == "__main__":
    for method in ("fork", "spawn"):
        process = multiprocessing.get_context(method).Process(target=work, args=(sys.argv[1],))
        process.start()
        process.join()
    if len(sys.argv) > 2:
        subprocess.run([sys.executable, __file__, *sys.argv[2:]], check=True)
"""


def test_scripts_of_one_run(child: Any, tmp_path: Path) -> None:
    """Scripts of the same AMLLOG_LOCAL_RUN are steps of one run, and each has its own workers as its records."""
    script = tmp_path / "script.py"
    script.write_text(SCRIPT, encoding="utf-8")
    environment = {"AMLLOG_LOCAL_RUN": "run of monday", "AMLLOG_DIR": str(tmp_path / "j")}
    for arguments in (["prepare"], ["train", "evaluate"]):  # train starts evaluate
        ran = child(script, *arguments, env=environment)
        assert ran.returncode == 0, ran.stderr
    insights = connect(tmp_path / "j")
    assert [(row["parent_run_id"], row["state"]) for row in insights.runs()] == [("run of monday", "done")]
    names = [row["step_name"] for row in insights.steps("run of monday")]
    assert names == ["prepare", "train", "evaluate"]
    workers = [(row["step_name"], row["message"]) for row in insights.logs(contains="worker of")]
    assert workers == [(name, f"worker of {name}") for name in names for _method in ("fork", "spawn")]


def test_a_later_script_is_not_missing(child: Any, tmp_path: Path) -> None:
    """The story of a script that was run by itself reports no other script as missing, and compares none."""
    environment = {"AMLLOG_DIR": str(tmp_path)}
    for name, end in (("prepare", ""), ("evaluate", ""), ("train", "raise ValueError")):
        child(f"import amllog; amllog.setup(step_name='{name}', metrics='none')\n{end}", env=environment)
    story = connect(tmp_path).story()
    assert (story.state, story.missing) == ("failed", ())
    assert [line for line in story.next if "compare" in line] == []


def test_the_value_of_the_user_comes_back(tmp_path: Path, monkeypatch: Any) -> None:
    """shutdown() restores the value of the user, also after several setups."""
    monkeypatch.setenv("AMLLOG_LOCAL_RUN", "monday")
    for _ in range(2):
        amllog.setup(directory=tmp_path, metrics="none")
    value = os.environ["AMLLOG_LOCAL_RUN"]
    assert value == f"monday {amllog.identity().step_id}"
    amllog.shutdown(0)
    assert os.environ["AMLLOG_LOCAL_RUN"] == "monday"
