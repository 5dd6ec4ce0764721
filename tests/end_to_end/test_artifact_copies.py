"""Copies of files for run history: others replace them, the journal cannot store them, and their total is limited."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from amllog.local import AzureOnThisMachine
from amllog.local.faults import Fault

DELIVER = [sys.executable, "-m", "amllog", "deliver", "--json", "--timeout", "500"]
LEAVE = """
import amllog, os
log = amllog.setup(driver_level="ERROR")
log.run.upload_file("good.txt", "f.txt")
log.metric("loss", 1.0)
log.run.tag("k", "v")
os._exit(0)
"""
COPIES = Path("logs", "amllog", "artifacts")


@pytest.fixture
def job(azure: AzureOnThisMachine) -> dict[str, str]:
    """Return the environment of a step's job, in a folder with a file."""
    Path("f.txt").write_text("legit")
    variables = azure.job_environment(run_id="run_1", step_name="train", parent_run_id="pipe_1")
    return {**variables, "AMLLOG_GRACE_SECONDS": "500"}


def counts(account: dict[str, Any]) -> dict[str, tuple[int, int, int]]:
    """Return the delivered, waiting and refused records of each outlet from JSON."""
    outlets = account["outlets"].items()
    return {
        name: (counts_of["delivered"], counts_of["waiting"], sum(counts_of["refused"].values()))
        for name, counts_of in outlets
    }


@pytest.mark.parametrize("how", ["deliver", "setup"])
@pytest.mark.parametrize("kind", ["fifo", "link"])
def test_a_replaced_copy(
    child: Any, job: dict[str, str], azure: AzureOnThisMachine, kind: str, how: str
) -> None:
    """A FIFO or a link in place of a copy is refused without blocking, and its target stays."""
    assert child(LEAVE, env=job).returncode == 0
    [copy] = COPIES.iterdir()
    copy.unlink()
    Path("secret").write_text("secret")
    if kind == "fifo":
        os.mkfifo(copy)
    else:
        copy.symlink_to(Path("secret").absolute())
    unused = COPIES / "0123456789ab-half"
    unused.touch(0o600)
    os.utime(unused, (0, 0))
    if how == "deliver":
        ran = child(DELIVER, env=job)
        after = json.loads(ran.stdout)["after"]
        assert counts(after) == {"app_insights": (3, 0, 0), "run_metrics": (2, 0, 1)}, ran
        [reason] = after["outlets"]["run_metrics"]["refused"]
        assert "is not a regular file" in reason or "is a symbolic link" in reason
        assert not unused.exists()
    else:
        code = "import amllog\nlog = amllog.setup()\nlog.metric('mine', 2.0)\nprint(amllog.shutdown(500).waiting)"
        assert child(code, env=job).stdout.splitlines()[-1] == "0"
        assert azure.values("run_1")["mine"] == [2.0]
    assert azure.values("run_1")["loss"] == [1.0]
    assert azure.tags("run_1") == {"k": "v"}
    assert azure.artifacts("run_1") == {}
    assert os.path.lexists(copy)
    assert Path("secret").read_text() == "secret"


PROBLEMS = """
import amllog, os, sys
log = amllog.setup(driver_level="WARNING")
log.metric("first", 1.0)
assert amllog.flush(500).waiting == 0
if sys.argv[1] == "moved":
    os.rename("logs", "aside")
    open("logs", "w").close()
    os.closerange(3, 60)
    log.info("x")
elif sys.argv[1] == "file":
    open("logs/amllog/artifacts", "w").close()
elif sys.argv[1] == "link":
    os.mkdir("elsewhere")
    os.symlink("../../elsewhere", "logs/amllog/artifacts")
log.run.upload_file("d.txt", "f.txt")
log.run.log_confusion_matrix("cm", {"schema_type": "confusion_matrix", "data": {"matrix": [[1]]}})
log.metric("m", 1.0)
log.run.tag("a", "b")
try:
    log.run.upload_file("e.txt", "missing.txt")
except FileNotFoundError as error:
    print("raised", error.filename)
found = amllog.shutdown(500).outlets["run_metrics"]
print(found.delivered, found.waiting, found.refused)
"""


@pytest.mark.parametrize(
    ("how", "files", "account"),
    [
        ("moved", {"d.txt": b"legit", "cm": None}, "5 0 {}"),
        ("file", {}, "3 0 {'copy of a file: ENOTDIR': 2}"),
        ("link", {}, "3 0 {'copy of a file: ENOTDIR': 2}"),
    ],
)
def test_problems_of_the_journal(
    child: Any, job: dict[str, str], azure: AzureOnThisMachine, how: str, files: dict[str, Any], account: str
) -> None:
    """Files follow the journal, are refused if no copy can be made, and a missing source raises."""
    Path("tmp").mkdir()
    ran = child(PROBLEMS, how, env={**job, "TMPDIR": str(Path("tmp").absolute())})
    assert ran.stdout.splitlines()[-2:] == ["raised missing.txt", account], ran
    if not files:
        assert ran.stdout.count("files are refused: copy of a file: ENOTDIR") == 1, ran
    artifacts = azure.artifacts("run_1")
    assert artifacts.keys() == files.keys()
    assert all(artifacts[name].file.read_bytes() == content for name, content in files.items() if content)
    assert azure.values("run_1")["m"] == [1.0]
    assert azure.tags("run_1") == {"a": "b"}
    assert not Path("elsewhere").exists() or list(Path("elsewhere").iterdir()) == []


def test_copies_are_bounded_and_deleted(child: Any, job: dict[str, str], azure: AzureOnThisMachine) -> None:
    """Copies take at most half of the journal's limit, and delivery and refusal delete them."""
    Path("f.txt").write_bytes(b"x" * 200_000)
    upload = """
import amllog, os
log = amllog.setup(driver_level="WARNING")
for number in range(60):
    log.run.upload_file(f"f{number % 2}.txt", "f.txt")
    log.metric("m", number)
print(amllog.status().refused)
os._exit(0)
"""
    leave = {**job, "AMLLOG_JOURNAL_MAX_BYTES": str(1024**2)}
    azure.faults.put(Fault(status=503))
    ran = child(upload, env=leave)
    azure.faults.put()
    assert (
        ran.stdout.count("files are refused: copies of files that wait take half of journal_max_bytes") == 1
    )
    assert [path.stat().st_size for path in COPIES.iterdir()] == [200_000] * 3
    again = 'import amllog\namllog.setup().run.upload_file("f0.txt", "f.txt")\nprint(amllog.shutdown(500))'
    child(DELIVER, env=leave)
    assert sorted(azure.artifacts("run_1")) == ["f0.txt", "f1.txt"]
    ran = child(again, env=leave)
    assert "Conflict" in ran.stdout, ran
    assert list(COPIES.iterdir()) == []
