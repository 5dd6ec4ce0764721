"""One measurement in a separate process: `python contenders.py NAME [PORT]` prints the result as JSON on stderr.

The peers are used as in their documentation, with five dimensions of the run and two of the call. The driver log is a
file. The stock handler has a queue of ten million, so that a burst loses nothing and only the cost is compared.
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
    """Return the microseconds of a call, as the median of rounds."""
    rounds = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        for index in range(CALLS):
            call(index)
        rounds.append((time.perf_counter() - began) / CALLS * 1e6)
    return sorted(rounds)[ROUNDS // 2]


def functions_called(call: Callable[[int], object]) -> int:
    """Count the functions that a call calls, in Python and in C. The count is the same on any machine."""
    count = 0

    def counted(frame: object, event: str, argument: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    # Work that is done only once is not counted.
    for index in range(10):
        call(index)
    sys.setprofile(counted)
    call(10)
    sys.setprofile(None)
    return count


def driver_log() -> None:
    """Redirect stdout to a file, as in a job."""
    sys.stdout = open(os.path.join(tempfile.mkdtemp(), "std_log.txt"), "w", encoding="utf-8")  # noqa: SIM115  open until the process ends


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

    out = open(os.path.join(tempfile.mkdtemp(), "log.jsonl"), "w", encoding="utf-8")  # noqa: SIM115  open until the process ends
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
    microseconds = per_call(
        lambda i: log.info(
            "batch done", extra={"custom_dimensions": {**IDENTITY, "batch": str(i), "kind": "x"}}
        )
    )
    print(json.dumps({"stock_call": microseconds}), file=sys.stderr, flush=True)
    os._exit(0)  # without sending its queue


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
    """Count the functions called per call, for amllog and structlog."""
    return {**structlog_calls(functions_called), **amllog_calls(functions_called)}


def deliver(
    log_record: Callable[[int], object], finish: Callable[[], object], count: int
) -> dict[str, float]:
    """Return the seconds and processor seconds to deliver `count` records, and the growth of memory in megabytes."""
    log_record(-1)
    before = resource.getrusage(resource.RUSAGE_SELF)
    began = time.perf_counter()
    for index in range(count):
        log_record(index)
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
    """Log `count` records and end without delivering any, as after a kill."""
    os.environ["AMLLOG_DIR"] = directory
    log = amllog_logger("9")
    for index in range(int(count)):
        log.info("batch done", batch=index, kind="x")
    os._exit(0)


def amllog_backlog(port: str, count: str) -> dict[str, float]:
    """Return the seconds until the records of such a process are delivered."""
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

    def log_record(i: int) -> None:
        log.info("batch done", extra={"custom_dimensions": {**IDENTITY, "batch": str(i), "kind": "x"}})

    return deliver(log_record, lambda: handler.flush(600), int(count))


def setup_local() -> dict[str, float]:
    import amllog
    import amllog.session.session  # only setup() itself is measured, not loading the package

    began = time.perf_counter()
    amllog.setup(directory=tempfile.mkdtemp())
    return {"milliseconds": (time.perf_counter() - began) * 1e3}


def setup_connected(port: str) -> dict[str, float]:
    import amllog

    began = time.perf_counter()
    amllog_logger(port)
    figures = {"milliseconds": (time.perf_counter() - began) * 1e3}
    amllog.shutdown(0)
    return figures


def stock_import() -> dict[str, float]:
    import structlog  # noqa: F401  not measured: amllog imports it as well

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
    figures = globals()[sys.argv[1]](*sys.argv[2:])
    print(json.dumps({**figures, "ended": time.time()}), file=sys.stderr, flush=True)
