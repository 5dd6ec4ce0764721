"""Workers of Ray, Dask, joblib and packages with the interface of multiprocessing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

# Modules of a user, which a worker imports with its task. The second one does not know amllog.
OURS = """
import logging
import amllog
log = amllog.get_logger(__name__)
def work(number):
    log.info("ours %d", number)
    logging.getLogger(__name__).info("theirs %d", number)
"""
PLAIN = """
import logging
def work(number):
    logging.getLogger(__name__).info("plain %d", number)
"""
RAY = """
import logging
import amllog, ray
import ours, plain

ray.init(num_cpus=1, include_dashboard=False, object_store_memory=100 * 1024**2, log_to_driver=False)
log = amllog.setup(driver_level="CRITICAL", grace_seconds=300)
log.info("parent")

def with_logger_of_script(number):
    log.info("ours %d", number)
    logging.getLogger("lib").info("theirs %d", number)

def with_setup(number):
    amllog.setup(driver_level="CRITICAL")
    ours.work(number)

class Actor:
    def __init__(self):
        self.log = amllog.get_logger("actor")
    def work(self, number):
        self.log.info("ours %d", number)
        logging.getLogger("lib").info("theirs %d", number)

def run(function, number):
    ray.get(ray.remote(function).remote(number))

carried = amllog.carry(plain.work)

def with_carried(number):
    carried(number)

for number, function in enumerate([with_logger_of_script, ours.work, with_setup, with_carried]):
    run(function, number)
actor = ray.remote(num_cpus=1)(Actor).remote()
ray.get(actor.work.remote(4))
"""
DASK = """
import amllog, dask
import ours, plain
from dask.distributed import Client

if __name__ == "__main__":
    options = dict(n_workers=1, threads_per_worker=1, memory_limit=0, dashboard_address=None)
    dask.config.set({"distributed.logging": {"distributed": "error"}})
    with Client(**options) as older:
        amllog.setup(driver_level="CRITICAL", capture=["exceptions", "warnings", "logging"]).info("parent")
        older.gather(older.map(ours.work, [0, 1], pure=False))
        older.submit(plain.work, 2, pure=False).result()
    with Client(**options) as newer:
        newer.submit(plain.work, 3, pure=False).result()
    dask.compute(dask.delayed(ours.work)(4), scheduler="processes", num_workers=1)
"""
JOBLIB = """
import amllog, joblib
import ours, plain

if __name__ == "__main__":
    run = joblib.Parallel(n_jobs=2)
    list(run(joblib.delayed(abs)(number) for number in range(4)))
    amllog.setup(driver_level="CRITICAL").info("parent")
    run(joblib.delayed(ours.work)(number) for number in range(2))
    joblib.externals.loky.get_reusable_executor().shutdown(wait=True)
    run(joblib.delayed(plain.work)(number) for number in range(2, 4))
    joblib.Parallel(n_jobs=2, backend="multiprocessing")(joblib.delayed(ours.work)(number) for number in [4, 5])
"""
COPIES = """
import amllog, billiard, multiprocess
import ours, plain

if __name__ == "__main__":
    amllog.setup(driver_level="CRITICAL").info("parent")
    log = amllog.get_logger()
    for number, (package, method) in enumerate(
        [(multiprocess, "spawn"), (multiprocess, "forkserver"), (multiprocess, "fork"), (billiard, "spawn")]
    ):
        with package.get_context(method).Pool(1) as pool:
            pool.map(ours.work, [number])
            pool.map(plain.work, [number + 10])
"""
LIBRARIES = """
import amllog, mpire, pathos.multiprocessing
import ours, plain

if __name__ == "__main__":
    amllog.setup(driver_level="CRITICAL").info("parent")
    with mpire.WorkerPool(1, start_method="spawn") as pool:
        pool.map(ours.work, [0]), pool.map(plain.work, [10])
    pool = pathos.multiprocessing.ProcessPool(1)
    pool.map(lambda number: ours.work(number), [1])
"""
# Ray looks for the cloud that it runs in. The network guard answers that there is no network, and is not to report it.
OF_RAY = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AUTH_MODE": "disabled",
    "RAY_raylet_start_wait_time_s": "300",
    "REACHED_FILE": None,
}
CASES = {  # the script, and the numbers of the records of the two modules
    "ray": (RAY, (0, 1, 2, 4), (3,)),
    "dask": (DASK, (0, 1, 4), (2, 3)),
    "joblib": (JOBLIB, (0, 1, 4, 5), (2, 3)),
    "copies": (COPIES, (0, 1, 2, 3), (10, 11, 12, 13)),
    "libraries": (LIBRARIES, (0, 1), (10,)),
}


@pytest.mark.parametrize("case", CASES)
def test_workers(child: Any, received: Any, connected: Any, tmp_path: Path, case: str) -> None:
    """Records of workers arrive once, with the identity of the step, which has one request."""
    code, ours, plain = CASES[case]
    for name, text in (("train", code), ("ours", OURS), ("plain", PLAIN)):
        (tmp_path / f"{name}.py").write_text(text)
    ran = child(
        tmp_path / "train.py", env={**connected, **(OF_RAY if case == "ray" else {})}, flags=("-W", "ignore")
    )
    records = received()
    assert ran.returncode == 0, ran.stderr
    expected = [f"{what} {number}" for what in ("ours", "theirs") for number in ours]
    expected += ["parent", *(f"plain {number}" for number in plain)]
    mine = [
        data
        for data in records.of_type("Message")
        if data["message"].split()[0] in ("ours", "theirs", "plain", "parent")
    ]
    assert sorted(data["message"] for data in mine) == sorted(expected)
    assert len({data["properties"]["step_id"] for data in records.of_type("Message")}) == 1
    assert (records.duplicates, len(records.of_type("Request"))) == ([], 1)
    assert "amllog" not in ran.stderr
