"""One measurement in a process of its own: `python contenders.py NAME [PORT]`, the result as JSON on stderr.

The peers are used as their documentation has it: five dimensions of the run and two of the call; the driver log is a
file. What the stock handler would lose in a burst, it may keep here (a queue of ten million), so that only cost counts.
"""

from __future__ import annotations

import json
import logging
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable

IDENTITY = {
    "parent_run_id": "2f6a1c1e-1f3b-4a53-9a4f-0c1f6f0f4a11",
    "step_id": "7d1c54a2-97a5-4c5e-8a3c-5b1f0a0e8f5d",
    "step_name": "train",
    "experiment_name": "digits",
    "run_url": "https://ml.azure.com/runs/2f6a1c1e-1f3b-4a53-9a4f-0c1f6f0f4a11",
}
CALLS, ROUNDS = 5_000, 7


def per_call(call: Callable[[int], object]) -> float:
    """Microseconds of a call: the median of rounds."""
    rounds = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        for index in range(CALLS):
            call(index)
        rounds.append((time.perf_counter() - began) / CALLS * 1e6)
    return sorted(rounds)[ROUNDS // 2]


def functions_called(call: Callable[[int], object]) -> int:
    """How many functions a call calls, in Python and in C: the same on any machine, however busy."""
    count = 0

    def counted(frame: object, event: str, argument: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    for index in range(10):  # what is only done once is not counted
        call(index)
    sys.setprofile(counted)
    call(10)
    sys.setprofile(None)
    return count


def driver_log() -> None:
    """Let stdout be a file, as in a job."""
    sys.stdout = open(os.path.join(tempfile.mkdtemp(), "std_log.txt"), "w", encoding="utf-8")  # noqa: SIM115  for the process's life


def amllog_logger(port: str = "") -> object:
    import amllog

    driver_log()
    os.environ["AMLLOG_LOCAL_RUN"] = f"{IDENTITY['parent_run_id']} {IDENTITY['step_id']}"
    string = (
        f"InstrumentationKey=00000000-0000-0000-0000-000000000001;IngestionEndpoint=http://127.0.0.1:{port}/"
    )
    directory = os.environ.get("AMLLOG_DIR") or tempfile.mkdtemp()
    return amllog.setup(directory=directory, connection_string=string if port else None)


def stock_logger(port: str = "9", **options: object) -> logging.Logger:
    os.environ["APPLICATIONINSIGHTS_STATSBEAT_DISABLED_ALL"] = "true"
    from opencensus.ext.azure.log_exporter import AzureLogHandler

    driver_log()
    string = (
        f"InstrumentationKey=00000000-0000-0000-0000-000000000001;IngestionEndpoint=http://127.0.0.1:{port}"
    )
    logger = logging.getLogger("train")
    logger.setLevel(logging.INFO)
    logger.addHandler(AzureLogHandler(connection_string=string, queue_capacity=10**7, **options))
    stream = logging.StreamHandler(sys.stdout)
    stream.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logger.addHandler(stream)
    return logger


def structlog_logger() -> object:
    import structlog

    out = open(os.path.join(tempfile.mkdtemp(), "log.jsonl"), "w", encoding="utf-8")  # noqa: SIM115  for the process's life
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.WriteLoggerFactory(file=out),
        cache_logger_on_first_use=True,
    )
    return structlog.get_logger().bind(**IDENTITY)


def stock_call() -> dict[str, float]:
    log = stock_logger(max_batch_size=10**7, export_interval=10**6)
    found = per_call(
        lambda i: log.info(
            "batch done", extra={"custom_dimensions": {**IDENTITY, "batch": str(i), "kind": "x"}}
        )
    )
    print(json.dumps({"stock_call": found}), file=sys.stderr, flush=True)
    os._exit(0)  # its queue is not to be sent


def amllog_calls(measured: Callable[[Callable[[int], object]], float] = per_call) -> dict[str, float]:
    log = amllog_logger()
    plain = logging.getLogger("train")
    return {
        "amllog_call": measured(lambda i: log.info("batch done", batch=i, kind="x")),
        "amllog_stdlib": measured(lambda i: plain.info("%d", i)),
        "amllog_metric": measured(lambda i: log.metric("loss", 0.5, step=i)),
        "amllog_below": measured(lambda i: log.debug("batch done", batch=i, kind="x")),
    }


def structlog_calls(measured: Callable[[Callable[[int], object]], float] = per_call) -> dict[str, float]:
    log = structlog_logger()
    return {
        "structlog_call": measured(lambda i: log.info("batch done", batch=i, kind="x")),
        "structlog_below": measured(lambda i: log.debug("batch done", batch=i, kind="x")),
    }


def counts() -> dict[str, float]:
    """Functions called per call, ours beside structlog's."""
    return {**structlog_calls(functions_called), **amllog_calls(functions_called)}


def deliver(log_one: Callable[[int], object], finish: Callable[[], object], count: int) -> dict[str, float]:
    """Seconds and processor seconds until `count` records are delivered, and megabytes over the start."""
    log_one(-1)
    before = resource.getrusage(resource.RUSAGE_SELF)
    began = time.perf_counter()
    for index in range(count):
        log_one(index)
    logged = time.perf_counter() - began
    finish()
    after = resource.getrusage(resource.RUSAGE_SELF)
    return {
        "count": count,
        "logged_seconds": logged,
        "seconds": time.perf_counter() - began,
        "cpu_seconds": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
        "megabytes": (after.ru_maxrss - before.ru_maxrss) / 1024,
    }


def amllog_deliver(port: str, count: str) -> dict[str, float]:
    import amllog

    log = amllog_logger(port)
    return deliver(lambda i: log.info("batch done", batch=i, kind="x"), lambda: amllog.flush(600), int(count))


def amllog_leave(directory: str, count: str) -> dict[str, float]:
    """A process that is killed with everything still to be sent."""

    os.environ["AMLLOG_DIR"] = directory
    log = amllog_logger("9")
    for index in range(int(count)):
        log.info("batch done", batch=index, kind="x")
    os._exit(0)


def amllog_backlog(port: str, count: str) -> dict[str, float]:
    """Seconds until what such a process has left is delivered."""
    import amllog

    os.environ["AMLLOG_DIR"] = directory = tempfile.mkdtemp()
    subprocess.run([sys.executable, __file__, "amllog_leave", directory, count], check=True)
    began = time.perf_counter()
    amllog_logger(port)
    amllog.shutdown(600)
    return {"count": int(count), "seconds": time.perf_counter() - began}


def stock_deliver(port: str, count: str) -> dict[str, float]:
    log = stock_logger(port, export_interval=0.5)
    handler = log.handlers[0]

    def one(i: int) -> None:
        log.info("batch done", extra={"custom_dimensions": {**IDENTITY, "batch": str(i), "kind": "x"}})

    return deliver(one, lambda: handler.flush(600), int(count))


def setup_local() -> dict[str, float]:
    import amllog
    import amllog.session.session  # what setup() itself costs, not what loading the package does

    began = time.perf_counter()
    amllog.setup(directory=tempfile.mkdtemp())
    return {"milliseconds": (time.perf_counter() - began) * 1e3}


def setup_connected(port: str) -> dict[str, float]:
    import amllog

    began = time.perf_counter()
    amllog_logger(port)
    found = {"milliseconds": (time.perf_counter() - began) * 1e3}
    amllog.shutdown(0)
    return found


def stock_import() -> dict[str, float]:
    import structlog  # noqa: F401  amllog's import has paid it; here it is not counted

    began = time.perf_counter()
    import opencensus.ext.azure.log_exporter  # noqa: F401

    return {"milliseconds": (time.perf_counter() - began) * 1e3}


def exit_plain() -> dict[str, float]:
    logging.basicConfig(filename=os.devnull)
    logging.getLogger("train").warning("done")
    return {}


def exit_amllog(port: str = "") -> dict[str, float]:
    import amllog

    log = amllog_logger(port)
    log.info("done")
    if port != "9":
        amllog.flush(10)
    return {}


if __name__ == "__main__":
    found = globals()[sys.argv[1]](*sys.argv[2:])
    print(json.dumps({**found, "ended": time.time()}), file=sys.stderr, flush=True)
