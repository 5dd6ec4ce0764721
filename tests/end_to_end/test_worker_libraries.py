"""Workers of joblib, concurrent.futures, a data loader and azureml's client."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from amllog.local import AzureOnThisMachine

from .conftest import QUIET  # isort: skip


# The functions are pickled with the task. A worker of loky never runs the script, and so not its setup().
LOKY = """
import joblib
import amllog

def work(number, log):
    log.info("work %d", number)
    return amllog.identity().step_id

if __name__ == "__main__":
    log = amllog.setup().bind(team="nlp")
    log.info("parent")
    found = joblib.Parallel(n_jobs=2, backend="loky")(joblib.delayed(work)(n, log) for n in range(10))
    print("same run:", set(found) == {amllog.identity().step_id})
"""
EXECUTOR = """
import concurrent.futures, multiprocessing
import amllog

def work(number, log):
    log.info("work %d", number)
    return amllog.identity().step_id

if __name__ == "__main__":
    log = amllog.setup().bind(team="nlp")
    log.info("parent")
    context = multiprocessing.get_context("{method}")
    with concurrent.futures.ProcessPoolExecutor(2, mp_context=context) as pool:
        found = list(pool.map(work, range(10), [log] * 10))
    print("same run:", set(found) == {{amllog.identity().step_id}})
"""
SCRIPTS = {
    "loky": LOKY,
    **{method: EXECUTOR.format(method=method) for method in ("fork", "spawn", "forkserver")},
}


@pytest.mark.parametrize("workers", SCRIPTS)
def test_executors(child: Any, received: Any, connected: Any, tmp_path: Path, workers: str) -> None:
    """Records that workers log with a passed logger arrive once, in the same run, also without a setup()."""
    script = tmp_path / "train.py"
    script.write_text(SCRIPTS[workers])
    ran = child(script, env={**connected, **QUIET}, flags=("-W", "ignore:This process:DeprecationWarning"))
    records = received()
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "same run: True\n", "")
    assert sorted(records.messages) == ["parent", *(f"work {number}" for number in range(10))]
    assert records.duplicates == []
    assert [records.properties(f"work {number}").get("team") for number in range(10)] == ["nlp"] * 10
    assert len(records.of_type("Request")) == 1


def test_settings_of_workers(child: Any, azure: AzureOnThisMachine, received: Any, tmp_path: Path) -> None:
    """A worker has its parent's settings. The connection string is not in the environment, but it sends its records."""
    code = """
import concurrent.futures, multiprocessing, os, sys
import amllog

def work(log):
    log.debug("worker")
    return os.environ["AMLLOG_WORKERS"], list(amllog.status().outlets)

if __name__ == "__main__":
    os.makedirs("kept"); os.makedirs("elsewhere")
    log = amllog.setup(connection_string=sys.argv[1], directory="kept", level="DEBUG", driver_level="ERROR",
                       dimensions={"team": "nlp"}, step_name="train")
    os.chdir("elsewhere")
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        print(*pool.submit(work, log).result(), sep="\\n")
    amllog.shutdown(200)
    print("AMLLOG_WORKERS" in os.environ)
"""
    script = tmp_path / "train.py"
    script.write_text(code)
    ran = child(script, azure.connection_string)
    settings, outlets, remaining = ran.stdout.splitlines()
    assert (outlets, remaining, ran.stderr) == ("['app_insights', 'driver_log']", "False", "")
    assert azure.connection_string not in settings and "InstrumentationKey" not in settings
    records = received()
    assert records.messages == ["worker"]
    assert {"team": "nlp", "step_name": "train"}.items() <= records.properties("worker").items()
    assert len(records.of_type("Request")) == 1


LOADER = """
import multiprocessing, queue
import amllog
log = amllog.setup()

def load(number, indices, loaded, log):
    while True:
        index = indices.get()
        if index is None:
            return
        log.info("loaded %d", index)
        loaded.put((index, number))

if __name__ == "__main__":
    context = multiprocessing.get_context("{method}")
    loaded = context.Queue()
    indices = [context.Queue() for _ in range(2)]
    workers = [
        context.Process(target=load, args=(number, indices[number], loaded, log), daemon=True) for number in range(2)
    ]
    for worker in workers: worker.start()
    for index in range(20): indices[index % 2].put(index)
    for _ in range(20): log.info("trained on %d", loaded.get()[0])
    {end}
    for worker in workers: worker.join()
    print([worker.exitcode for worker in workers])
"""


@pytest.mark.parametrize("method", ["fork", "spawn"])
@pytest.mark.parametrize(
    ("end", "code"),
    [
        ("for one in indices: one.put(None)", 0),
        ("for worker in workers: worker.terminate()", -15),
        ("for worker in workers: worker.kill()", -9),
    ],
)
def test_data_loader(
    child: Any, received: Any, connected: Any, tmp_path: Path, method: str, end: str, code: int
) -> None:
    """Records of a data loader's workers, ended as loaders end them, arrive once, except in flight at a kill."""
    script = tmp_path / "train.py"
    script.write_text(LOADER.format(method=method, end=end))
    ran = child(script, env={**connected, **QUIET}, flags=("-W", "ignore:This process:DeprecationWarning"))
    records = received()
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, f"{[code, code]}\n", "")
    expected = [f"{what} {index}" for what in ("loaded", "trained on") for index in range(20)]
    assert set(records.messages) == set(expected)
    twice = [message for message in expected if records.messages.count(message) > 1]
    assert [message for message in twice if code != -9 or "loaded" not in message] == []
    assert len(records.duplicates) == len(twice)


METRICS = """
import multiprocessing, os, sys
import amllog
from azureml.core import Run
run = Run.get_context(allow_offline=False)
{before}
log = amllog.setup()
run.log("theirs", 1)
log.metric("ours", 2)

def work(_=0):
    run.log("theirs of a child", 3)
    log.metric("ours of a child", 4)

{fork}
run.log("theirs after", 5)
"""


@pytest.mark.parametrize("before", ["", "run.log('early', 0)"])
@pytest.mark.parametrize(
    "fork",
    [
        "if os.fork(): os.wait()\nelse: work(); os._exit(0)",
        "if os.fork(): os.wait()\nelse: work(); sys.exit(0)",
        "with multiprocessing.get_context('fork').Pool(1) as pool: pool.map(work, [0])",
    ],
)
def test_metrics_of_forked_children(child: Any, azure: AzureOnThisMachine, fork: str, before: str) -> None:
    """Metrics that wait in azureml's client or ours during a fork are sent once, as are the child's."""
    job = azure.job_environment(run_id="run_1", step_name="train", parent_run_id="pipe_1")
    ran = child(METRICS.format(fork=fork, before=before), env={**job, **QUIET})
    assert ran.returncode == 0, ran.stderr
    assert azure.values("run_1") == {
        **({"early": [0]} if before else {}),
        "theirs": [1],
        "ours": [2],
        "theirs of a child": [3],
        "ours of a child": [4],
        "theirs after": [5],
    }


@pytest.mark.parametrize("fork", [False, True])
def test_gevent_after_setup(child: Any, received: Any, connected: Any, fork: bool) -> None:
    """If gevent patches `socket` and `ssl` after setup(), records arrive once, without errors."""
    code = f"""
import os, sys
import amllog
log = amllog.setup()
log.info("before")
assert amllog.flush(300)
if {fork} and os.fork():
    sys.exit(os.waitstatus_to_exitcode(os.wait()[1]))
from gevent import monkey
monkey.patch_all()
log.info("after")
assert amllog.flush(300)
"""
    ran = child(code, env={**connected, **QUIET}, flags=("-W", "ignore"))
    records = received()
    assert (ran.returncode, ran.stderr) == (0, "")
    assert (sorted(records.messages), records.duplicates) == (["after", "before"], [])
