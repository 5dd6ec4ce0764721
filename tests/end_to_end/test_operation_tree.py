"""The tree of a run, built from the received records: threads, tasks, executors, child processes, traceparent."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from amllog.local import AzureOnThisMachine

from .conftest import QUIET, Records  # isort: skip

FORKS = ("-W", "ignore:This process:DeprecationWarning")
TRACE, ABOVE = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


class Tree:
    """Requests and dependencies by their ids, and the parent of each record."""

    def __init__(self, records: Records) -> None:
        self.operations = {envelope["tags"]["ai.operation.id"] for envelope in records.envelopes}
        self._parents: dict[str, str] = {}
        self._names: dict[str, str] = {}
        self._said: list[tuple[str, str]] = []
        for envelope in records.envelopes:
            data, above = envelope["data"]["baseData"], envelope["tags"].get("ai.operation.parentId", "")
            assert re.fullmatch("([0-9a-f]{16})?", above)  # the plain form, which matches
            if "id" in data:
                assert data["id"] not in self._names, "two spans with one id"
                self._parents[data["id"]], self._names[data["id"]] = above, data["name"]
            else:
                self._said.append((data.get("message") or data.get("name") or "", above))

    def path(self, span: str) -> str:
        """Return the names from the outermost span to this one, with `?` for a missing parent."""
        names: list[str] = []
        while span:
            names.insert(0, self._names.get(span, "?"))
            assert len(names) < 20, "a span above itself"
            span = self._parents.get(span, "")
        return "/".join(names)

    @property
    def records(self) -> dict[str, str]:
        """Return the path of the parent span of each message."""
        return {message: self.path(above) for message, above in self._said}

    @property
    def spans(self) -> list[str]:
        """Return the paths of all spans."""
        return sorted(map(self.path, self._names))


@pytest.fixture
def run(child: Any, received: Any, connected: Any, tmp_path: Path) -> Any:
    """Return a function that runs code as train.py and returns the tree of the received records."""

    def ran(code: str, environ: dict[str, str] | None = None) -> Tree:
        script = tmp_path / "train.py"
        script.write_text(code)
        result = child(script, env={**connected, **QUIET, **(environ or {})}, flags=FORKS)
        assert (result.returncode, result.stderr) == (0, "")
        return Tree(received())

    return ran


THREADS = """
import asyncio, concurrent.futures, threading
import amllog
log = amllog.setup()

def work(name):
    log.info(name)
    with log.span("inner"):
        log.info(f"{name} inside")

async def main():
    await asyncio.gather(asyncio.to_thread(work, "to_thread"), task("task"))
    await asyncio.get_running_loop().run_in_executor(None, amllog.carry(work), "run_in_executor")

async def task(name):
    with log.span("task"):
        work(name)

def rows():
    with log.span("rows"):
        log.info("first row")
        yield
        log.info("last row")

with log.span("outer"), amllog.bound(epoch=3):
    for name, target in (("bare", work), ("carried", amllog.carry(work))):
        thread = threading.Thread(target=target, args=(name,))
        thread.start(); thread.join()
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        list(pool.map(amllog.carry(work), [f"pool {n}" for n in range(8)]))
    asyncio.run(main())
    for _ in rows():
        log.info("between rows")
    log.info("after rows")
log.info("outside")
"""


def test_threads_and_tasks(run: Any, received: Any) -> None:
    """Tasks and to_thread inherit the span, and threads and executors do with carry()."""
    tree = run(THREADS)
    followed = ["carried", "to_thread", "run_in_executor", *(f"pool {n}" for n in range(8))]
    for name in followed:
        assert (tree.records[name], tree.records[f"{name} inside"]) == (
            "train.py/outer",
            "train.py/outer/inner",
        )
        assert received().properties(name)["epoch"] == "3"
    assert (tree.records["bare"], tree.records["bare inside"]) == ("train.py", "train.py/inner")
    assert tree.records["task inside"] == "train.py/outer/task/inner"
    assert tree.records["first row"] == tree.records["last row"] == "train.py/outer/rows"
    assert (tree.records["after rows"], tree.records["outside"]) == ("train.py/outer", "train.py")
    assert len(tree.operations) == 1 and "?" not in "".join(tree.spans)


WORKERS = """
import concurrent.futures, multiprocessing, threading
import amllog
log = amllog.get_logger(__name__)

def work(number):
    log.info("work %d", number)
    with log.span("inner"):
        log.info("inside %d", number)

if __name__ == "__main__":
    amllog.setup()
    with log.span("outer"), amllog.bound(fold=7, lock=threading.Lock()):
        {run}
"""
EXECUTORS = {
    "loky": "import joblib\n"
    "        joblib.Parallel(2, backend='loky')(joblib.delayed(amllog.carry(work))(n) for n in range(4))",
    **{
        method: f"context = multiprocessing.get_context({method!r})\n"
        "        with concurrent.futures.ProcessPoolExecutor(2, mp_context=context) as pool:\n"
        "            list(pool.map(amllog.carry(work), range(4)))"
        for method in ("fork", "spawn", "forkserver")
    },
    "process": "workers = [multiprocessing.get_context('spawn').Process(target=amllog.carry(work), args=(n,))\n"
    "                   for n in range(4)]\n"
    "        [worker.start() for worker in workers]; [worker.join() for worker in workers]",
    "bare fork": "workers = [multiprocessing.get_context('fork').Process(target=work, args=(n,)) for n in range(4)]\n"
    "        [worker.start() for worker in workers]; [worker.join() for worker in workers]",
}


@pytest.mark.parametrize("workers", EXECUTORS)
def test_worker_processes(run: Any, received: Any, workers: str) -> None:
    """A carried function has the caller's span and dimensions in its worker, also without a logger."""
    tree = run(WORKERS.format(run=EXECUTORS[workers]))
    for number in range(4):
        assert tree.records[f"work {number}"] == "train.py/outer"
        assert tree.records[f"inside {number}"] == "train.py/outer/inner"
        properties = received().properties(f"work {number}")
        assert properties["fold"] == "7" and "lock" in properties["lock"]
    assert len(tree.operations) == 1 and len(tree.spans) == 6


CHILDREN = """
import subprocess, sys
import amllog
log = amllog.setup()
with log.span("outer"):
    for name in ("one", "two"):
        subprocess.run([sys.executable, "child.py", name], env=amllog.trace_environment(), check=True)
    log.info("after")
"""
CHILD = """
import subprocess, sys
import amllog
log = amllog.setup()
log.info(sys.argv[1])
with log.span("inner"):
    if sys.argv[1] == "two":
        subprocess.run([sys.executable, "child.py", "three"], env=amllog.trace_environment(), check=True)
"""


def test_child_processes(run: Any, tmp_path: Path) -> None:
    """Outside a job, a script started with trace_environment() is a separate step below the span."""
    (tmp_path / "child.py").write_text(CHILD)
    tree = run(CHILDREN)
    assert tree.records["one"] == tree.records["two"] == "train.py/outer/child.py"
    assert tree.records["three"] == "train.py/outer/child.py/inner/child.py"
    assert tree.records["after"] == "train.py/outer"
    assert len(tree.operations) == 1 and len(tree.spans) == 8


def test_child_processes_of_a_job(
    child: Any, received: Any, azure: AzureOnThisMachine, tmp_path: Path
) -> None:
    """In a job, child processes are spans of the same step, which has one request."""
    (tmp_path / "child.py").write_text(CHILD)
    job = azure.job_environment(run_id="step-1", step_name="train", parent_run_id="pipeline-1")
    ran = child(CHILDREN, env={**job, **QUIET})
    assert ran.returncode == 0, ran.stderr  # azureml may print warnings on stderr
    records = received()
    tree = Tree(records)
    assert tree.records["one"] == tree.records["two"] == "?/train/outer/child.py"
    assert tree.records["three"] == "?/train/outer/child.py/inner/child.py"
    assert [request["name"] for request in records.of_type("Request")] == ["train"]
    assert len(tree.operations) == 1 and len(tree.spans) == 8
    assert {
        data["properties"]["step_id"]
        for kind in ("Message", "RemoteDependency")
        for data in records.of_type(kind)
    } == {"step-1"}


@pytest.mark.parametrize("where", ["a job", "a laptop"])
def test_traceparent(
    child: Any, received: Any, azure: AzureOnThisMachine, connected: Any, where: str
) -> None:
    """A step that is started under a span belongs to the tree of that span."""
    environ = {**connected, "TRACEPARENT": f"00-{TRACE}-{ABOVE}-01"}
    if where == "a job":
        environ.update(azure.job_environment(run_id="step-1", step_name="train", parent_run_id="pipeline-1"))
    child("import amllog; amllog.setup().info('m')", env={**environ, **QUIET})
    records = received()
    assert {envelope["tags"]["ai.operation.id"] for envelope in records.envelopes} == {TRACE}
    above = {line["data"]["baseType"]: line["tags"]["ai.operation.parentId"] for line in records.envelopes}
    assert above == {"RequestData": ABOVE, "MessageData": records.of_type("Request")[0]["id"]}


def test_two_steps_of_a_pipeline_run(child: Any, received: Any, azure: AzureOnThisMachine) -> None:
    """Independent steps of a pipeline run share one operation, each as a request below the pipeline run."""
    for number in (1, 2):
        job = azure.job_environment(
            run_id=f"step-{number}", step_name=f"step {number}", parent_run_id="pipeline-1"
        )
        code = f"import amllog; log = amllog.setup()\nwith log.span('s{number}'): log.info('m{number}')"
        child(code, env={**job, **QUIET})
    tree = Tree(received())
    assert tree.records == {"m1": "?/step 1/s1", "m2": "?/step 2/s2"}
    assert len(tree.operations) == 1


FOREIGN = """
import concurrent.futures, multiprocessing, sys
import amllog
log = amllog.get_logger(__name__)

def work():
    log.info("worker")

if __name__ == "__main__":
    amllog.setup()
    from opentelemetry import trace
    there = trace.SpanContext(int(sys.argv[1], 16), int(sys.argv[2], 16), True, trace.TraceFlags(1))
    with trace.use_span(trace.NonRecordingSpan(there)):
        print(amllog.trace_environment()["TRACEPARENT"])
        with concurrent.futures.ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
            pool.submit(amllog.carry(work)).result()
    log.info("outside")
"""


def test_a_foreign_span_is_carried(child: Any, received: Any, connected: Any, tmp_path: Path) -> None:
    """A current span of OpenTelemetry takes precedence over TRACEPARENT and the run, also for child processes."""
    pytest.importorskip("opentelemetry.trace")
    script = tmp_path / "train.py"
    script.write_text(FOREIGN)
    environ = {**connected, **QUIET, "TRACEPARENT": f"00-{'a' * 32}-{'b' * 16}-01"}
    ran = child(script, TRACE, ABOVE, env=environ)
    assert ran.stdout.splitlines()[0] == f"00-{TRACE}-{ABOVE}-01", ran.stderr
    tags = {line["data"]["baseData"].get("message"): line["tags"] for line in received().envelopes}
    assert (tags["worker"]["ai.operation.id"], tags["worker"]["ai.operation.parentId"]) == (TRACE, ABOVE)
    assert tags["outside"]["ai.operation.id"] == "a" * 32


def test_before_setup(child: Any) -> None:
    """carry() and trace_environment() can be called before setup() without an effect."""
    code = """
import os, amllog
print(amllog.trace_environment() == dict(os.environ), amllog.carry(lambda: 5)(), amllog.carry(len).__name__)
"""
    assert child(code).stdout == "True 5 len\n"
