"""The end of a step in a job: the process that is the step records one request, the others record spans below it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from .conftest import QUIET, Records  # isort: skip

JOB = {"AZUREML_RUN_ID": "pipe_1_train", "AZUREML_ROOT_RUN_ID": "pipe_1", "AMLLOG_METRICS": "none", **QUIET}
CHILD = "import amllog\nlog = amllog.setup()\nlog.info('child')\n"
START = """
import os, signal, subprocess, sys
import amllog
log = amllog.setup()
def start(*options, **values):
    return subprocess.Popen([sys.executable, "child.py"], *options, **values)
"""
FORK = "import os\nimport amllog\nlog = amllog.setup()\npid = os.fork()\nif pid == 0:\n    {}\nos.wait()\n"


class Ends(NamedTuple):
    """How the processes of a step ended: the request, and each span with the name of the span above it."""

    requests: list[tuple[str, bool, str]]
    spans: list[tuple[str, str, bool, str]]


@pytest.fixture
def ends(child: Any, journaled: Any, tmp_path: Path) -> Any:
    """Return a function that runs code as train.py in a job, with other code as child.py."""

    def run(
        code: str, other: str = CHILD, environ: dict[str, str] = JOB, directory: str = "logs/amllog"
    ) -> Ends:
        (tmp_path / "child.py").write_text(other)
        script = tmp_path / "train.py"
        script.write_text(code)
        ran = child(script, env=environ)
        assert ran.returncode == 0, ran.stderr
        return _ends(journaled(directory))

    return run


def _ends(records: Records) -> Ends:
    requests, spans = records.of_type("Request"), records.of_type("RemoteDependency")
    names = {data["id"]: data["name"] for data in (*requests, *spans)}
    assert len(names) == len(requests) + len(spans), "two with one id"
    above = {
        envelope["data"]["baseData"].get("id"): names.get(envelope["tags"].get("ai.operation.parentId"), "?")
        for envelope in records.envelopes
    }
    return Ends(
        sorted((data["name"], data["success"], data["responseCode"]) for data in requests),
        sorted((data["name"], above[data["id"]], data["success"], data["resultCode"]) for data in spans),
    )


DONE = [("train.py", True, "0")]
OTHERS = {
    "succeeds": ("start().wait()", CHILD, True, "0"),
    "fails": ("start().wait()", CHILD + "1 / 0", False, "uncaught exception"),
    "has another environment": ("start(env={**os.environ, 'X': '1'}).wait()", CHILD, True, "0"),
    "exits with a code": ("start().wait()", CHILD + "import sys; sys.exit(3)", False, "exit code 3"),
    "starts after shutdown()": ("amllog.shutdown(); start().wait()", CHILD, True, "0"),
    "replaces itself": (
        "start().wait()",
        "import os, sys\nif len(sys.argv) == 1: os.execv(sys.executable, [sys.executable, __file__, '1'])\n" + CHILD,
        True,
        "0",
    ),
    "is terminated": (
        "other = start(stdout=subprocess.PIPE); other.stdout.readline(); other.terminate(); other.wait()",
        CHILD + "import time\nprint('ready', flush=True)\nwhile True: time.sleep(60)",
        True,
        "terminated (SIGTERM)",
    ),
    "sets up twice": ("start().wait()", CHILD + "amllog.setup(level='DEBUG')", True, "0"),
}  # fmt: skip


@pytest.mark.parametrize("other", OTHERS)
def test_another_process_of_the_step(ends: Any, other: str) -> None:
    """A script that the step starts is a span of it, whatever its end is. The request reports the step."""
    code, script, success, result = OTHERS[other]
    assert ends(START + code, script) == Ends(DONE, [("child.py", "train.py", success, result)])


def test_processes_below_another_process(ends: Any, tmp_path: Path) -> None:
    """A process that a child starts is below the child, also with trace_environment()."""
    (tmp_path / "below.py").write_text(CHILD)
    other = CHILD + "import subprocess, sys\nsubprocess.run([sys.executable, 'below.py'])"
    code = START + "start().wait()\nwith log.span('s'): start(env=amllog.trace_environment()).wait()"
    assert ends(code, other) == Ends(
        DONE,
        [("below.py", "child.py", True, "0")] * 2
        + [("child.py", "s", True, "0"), ("child.py", "train.py", True, "0"), ("s", "train.py", True, "0")],
    )  # fmt: skip


@pytest.mark.parametrize(
    ("code", "spans"),
    [
        ("sys.exit(3)", []),
        ("amllog.setup(level='DEBUG'); log.info('child'); sys.exit(3)", []),
        ("amllog.shutdown(); amllog.setup(); sys.exit(3)", [("train.py", "train.py", False, "exit code 3")]),
    ],
)
def test_a_forked_process(ends: Any, code: str, spans: Any) -> None:
    """A fork records no end, except as a span after shutdown() and setup()."""
    assert ends("import sys\n" + FORK.format(code)) == Ends(DONE, spans)


def test_setup_after_shutdown(ends: Any) -> None:
    """A setup() after shutdown() begins a span of the step, which has ended."""
    code = "import amllog\nfor _ in range(3):\n    amllog.setup().info('m')\n    amllog.shutdown()\n"
    assert ends(code) == Ends(DONE, [("train.py", "train.py", True, "0")] * 2)


def test_the_image_after_exec_is_the_step(ends: Any) -> None:
    """A script that replaces itself stays the step."""
    code = START + "if len(sys.argv) == 1: os.execv(sys.executable, [sys.executable, 'train.py', 'again'])"
    assert ends(code) == Ends(DONE, [])


def test_ranks_of_a_launcher(ends: Any) -> None:
    """A launcher without amllog is not the step, and rank 0 of its processes is."""
    code = """
import os, subprocess, sys
for rank in "01":
    subprocess.run([sys.executable, "child.py"], env={**os.environ, "RANK": rank}, check=True)
"""
    assert ends(code) == Ends([("child.py", True, "0")], [])


PRELOADED = """
import multiprocessing
import amllog
log = amllog.setup()

def work(number):
    log.info("worker")
    return number
"""
PRELOADING = """
import multiprocessing
import child

if __name__ == "__main__":
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["child"])
    with context.Pool(2) as pool:
        print(pool.map(child.work, range(3)))
"""


@pytest.mark.parametrize("where", ["a job", "a laptop"])
def test_a_preloaded_module(ends: Any, tmp_path: Path, where: str) -> None:
    """A fork server that imports a module with setup() ends no step."""
    path = {"PYTHONPATH": os.pathsep.join([os.environ["PYTHONPATH"], str(tmp_path)])}
    if where == "a job":
        assert ends(PRELOADING, PRELOADED, {**JOB, **path}) == Ends(DONE, [])
    else:
        assert ends(PRELOADING, PRELOADED, {**QUIET, **path}, ".amllog") == Ends(DONE, [])


def test_on_a_laptop_a_script_is_another_step(ends: Any) -> None:
    """Outside a job, a script that a step starts is a separate step of the same run."""
    assert ends(START + "start().wait()", environ=QUIET, directory=".amllog") == Ends(
        [("child.py", True, "0"), ("train.py", True, "0")], []
    )


@pytest.mark.parametrize("code", [0, 3])
def test_an_attempt_that_another_one_follows(child: Any, journaled: Any, tmp_path: Path, code: int) -> None:
    """A failed attempt of a local step that is tried again is not its end. The runner records that of the last one."""
    environ = {**JOB, "AMLLOG_LOCAL_RETRY": "true"}
    script = tmp_path / "train.py"
    script.write_text(f"import amllog, sys\nlog = amllog.setup()\nlog.info('loaded')\nsys.exit({code})\n")
    assert child(script, env=environ).returncode == code
    records = journaled("logs/amllog")
    assert [data["success"] for data in records.of_type("Request")] == ([True] if code == 0 else [])
    assert records.of_type("Message")
