"""The cost of amllog as ratios to its peers in the same run: `python bench/run.py [--quick] [--markdown FILE]`.

Each figure of the table is the median of interleaved rounds, with a separate process for each measurement.
The exit code is 1 if a row does not reach its bar.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from rows import Row, report

HERE = Path(__file__).parent


def measure(name: str, *arguments: str) -> dict[str, float]:
    """Run one contender in a separate process and return its figures."""
    began = time.time()
    done = subprocess.run(
        [sys.executable, str(HERE / "contenders.py"), name, *arguments],
        capture_output=True, text=True, timeout=900, env=environment(), check=False,
    )  # fmt: skip
    ended = time.time()
    lines = [line for line in done.stderr.splitlines() if line.startswith("{")]
    if not lines:
        raise RuntimeError(f"{name} failed:\n{done.stderr[-2000:]}")
    figures, _ = json.JSONDecoder().raw_decode(lines[-1])
    figures["exit_seconds"] = ended - figures.get("ended", ended)
    figures["wall_seconds"] = ended - began
    return figures


def environment() -> dict[str, str]:
    """Return the environment without Azure and without settings of amllog."""
    foreign = ("AMLLOG_", "AZUREML_", "APPLICATIONINSIGHTS_", "APPINSIGHTS_", "MLFLOW_")
    return {name: value for name, value in os.environ.items() if not name.startswith(foreign)}


def medians(rounds: int, *contenders: tuple[str, ...]) -> list[dict[str, float]]:
    """Run the contenders in turn, several times, and return the median of every figure."""
    runs: list[list[dict[str, float]]] = [[] for _ in contenders]
    for _ in range(rounds):
        for place, contender in enumerate(contenders):
            runs[place].append(measure(*contender))
    return [{key: statistics.median(run[key] for run in many) for key in many[0]} for many in runs]


@contextlib.contextmanager
def sink(delay_seconds: float) -> Iterator[str]:
    """Run a sink in a separate process and yield its port."""
    process = subprocess.Popen(
        [sys.executable, str(HERE / "sink.py"), str(delay_seconds)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
    finally:
        process.kill()
        process.wait()


def counts(port: str) -> dict[str, int]:
    """Return the counts of a sink."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/") as response:
        received: dict[str, int] = json.load(response)
        return received


def calls(rounds: int) -> Iterator[Row]:
    ours, stock, peer = medians(rounds, ("amllog_calls",), ("stock_call",), ("structlog_calls",))
    us = "{:.1f} µs to {:.1f} µs".format
    per_stock, per_struct = stock["stock_call"], peer["structlog_call"]
    log, plain, metric = ours["amllog_call"], ours["amllog_stdlib"], ours["amllog_metric"]
    yield Row("a log call / the stock handler's", log / per_stock, 1.0, detail=us(log, per_stock))
    yield Row("a log call / structlog's JSON to a file", log / per_struct, 1.5, detail=us(log, per_struct))
    yield Row("plain logging.info / the stock handler's", plain / per_stock, 1.0, detail=us(plain, per_stock))
    yield Row("a metric call / a log call", metric / log, 1.0, detail=us(metric, log))
    below, filtered = ours["amllog_below"], peer["structlog_below"]
    yield Row("a call below the level / structlog's", below / filtered, 1.3,
              detail=f"{below * 1e3:.0f} ns to {filtered * 1e3:.0f} ns")  # fmt: skip


def burst(count: int, bar_megabytes: float) -> Iterator[Row]:
    with sink(0.0) as port:
        figures = measure("amllog_deliver", port, str(count))
        arrived = counts(port)["items"]
    yield Row(f"burst of {count:,}: lost", max(0, count + 1 - arrived), 0, detail=f"{arrived:,} arrived")
    yield Row(f"burst of {count:,}: MB over the start", figures["megabytes"], bar_megabytes)


def delivery(count: int) -> Iterator[Row]:
    with sink(0.05) as port, sink(0.05) as stock_port, sink(0.05) as backlog_port:
        ours = measure("amllog_deliver", port, str(count))
        backlog = measure("amllog_backlog", backlog_port, str(count))
        stock = measure("stock_deliver", stock_port, str(count // 10))
        received, stock_received = counts(port), counts(stock_port)
    rate, stock_rate = ours["count"] / ours["seconds"], stock["count"] / stock["seconds"]
    yield Row(f"draining {count:,} over 50 ms / the stock handler's rate", rate / stock_rate, 20, True,
              detail=f"{rate:,.0f}/s to {stock_rate:,.0f}/s")  # fmt: skip
    rate = backlog["count"] / backlog["seconds"]
    yield Row(f"delivering a backlog of {count:,} over 50 ms / the stock handler's rate", rate / stock_rate, 20, True,
              detail=f"{rate:,.0f}/s to {stock_rate:,.0f}/s")  # fmt: skip
    wire, stock_wire = (
        received["bytes"] / received["items"],
        stock_received["bytes"] / stock_received["items"],
    )
    yield Row("bytes on the wire per record / stock", wire / stock_wire, 0.1,
              detail=f"{wire:.0f} to {stock_wire:.0f}")  # fmt: skip
    cost, stock_cost = ours["cpu_seconds"] / ours["count"], stock["cpu_seconds"] / stock["count"]
    yield Row("processor time per delivered record / stock", cost / stock_cost, 0.7,
              detail=f"{cost * 1e6:.0f} µs to {stock_cost * 1e6:.0f} µs")  # fmt: skip


def beginning_and_end(rounds: int) -> Iterator[Row]:
    with sink(0.0) as port:
        local, connected, stock, plain, ours, dead = medians(
            rounds, ("setup_local",), ("setup_connected", port), ("stock_import",), ("exit_plain",),
            ("exit_amllog", port), ("exit_amllog", "9"),
        )  # fmt: skip
        requests = counts(port)["requests"] - rounds  # without one for each flush in exit_amllog
    yield Row("setup() without Azure, ms", local["milliseconds"], 30)
    yield Row("setup() with a connection string / importing the stock handler",
              connected["milliseconds"] / stock["milliseconds"], 1.3,
              detail=f"{connected['milliseconds']:.0f} ms to {stock['milliseconds']:.0f} ms")  # fmt: skip
    more = (ours["exit_seconds"] - plain["exit_seconds"]) * 1e3
    alone = (stock["exit_seconds"] - plain["exit_seconds"]) * 1e3
    yield Row("exit with nothing waiting: ms more than plain logging", more, 100,
              detail=f"after importing the stock handler alone: {alone:.0f} ms; {requests} requests")  # fmt: skip
    yield Row("exit with a dead endpoint, s", dead["exit_seconds"], 10)


def imports(rounds: int) -> Iterator[Row]:
    def once(code: str) -> float:
        began = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True, env=environment())
        return time.perf_counter() - began

    times = [
        [once(code) for code in ("pass", "import structlog", "import amllog")] for _ in range(rounds * 3)
    ]
    nothing, structlog, ours = (statistics.median(column) for column in zip(*times))
    yield Row("import amllog / import structlog", (ours - nothing) / (structlog - nothing), 1.3,
              detail=f"{(ours - nothing) * 1e3:.0f} ms to {(structlog - nothing) * 1e3:.0f} ms")  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer rounds, no burst of a million")
    parser.add_argument("--markdown", type=Path, help="keep the table in this file")
    options = parser.parse_args()
    rounds = 3 if options.quick else 5
    drained = 20_000 if options.quick else 100_000
    parts = [imports(rounds), calls(rounds), burst(50_000, 30), delivery(drained), beginning_and_end(rounds)]
    if not options.quick:
        parts.insert(3, burst(1_000_000, 30))
    return report(chain.from_iterable(parts), options.markdown)


if __name__ == "__main__":
    sys.exit(main())
