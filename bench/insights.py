"""The cost of reading: questions over one large run, compared with a bare DuckDB scan of the same files.

The arguments are the number of records (default 1,000,000: 20 steps, 200 files, about 1 GB) and a folder for them
(default: a temporary one). Each figure of the table is the median of interleaved rounds. The exit code is 1 if a row
does not reach its bar.

    python bench/insights.py 1000000 --folder /data/bench --markdown insights.md
"""

from __future__ import annotations

import argparse
import json
import os
import pty
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import duckdb
from rows import Row, report

from amllog.insights import connect
from amllog.insights.stores.local.compaction import compact

RUN = "93102f5a-5b0c-4c3e-9e62-2f2f6a6a6d11"
SMALL = "0e5f3e0c-0d1f-4b53-8a43-6a2f6a6a6d12"  # another run, of one file, in the same folder
STEPS, FILES, ROUNDS = 20, 200, 5
MEGABYTE = 1_000_000
BEGAN = datetime(2026, 11, 22, 10, tzinfo=timezone.utc)
BARE = """
SELECT time, data.baseData.message FROM read_json(?, format = 'newline_delimited', ignore_errors = true, columns = {
  time: 'VARCHAR',
  data: 'STRUCT(baseType VARCHAR, baseData STRUCT(message VARCHAR, severityLevel INTEGER, properties JSON))'
}) WHERE (data.baseData.properties->>'parent_run_id') = ? AND data.baseData.severityLevel >= 3
"""


def main() -> int:
    """Create the records if they are missing, measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("records", nargs="?", type=int, default=1_000_000)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--markdown", type=Path, help="keep the table in this file")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        if not any(folder.glob("*.jsonl")):
            make(folder, options.records)
        return report(measure(folder), options.markdown)


def measure(folder: Path) -> Iterator[Row]:
    """Measure before and after compaction. The first question makes the index."""
    for cache in (folder / ".amllog-index.json", *(folder / "compacted").glob("_manifest.json")):
        cache.unlink(missing_ok=True)
    paths = sorted(folder.glob("*.jsonl"))
    run = [str(path) for path in paths if SMALL[:8] not in path.name]
    size = sum(path.stat().st_size for path in paths)

    def bare() -> list[Any]:
        with duckdb.connect() as database:
            return database.execute(BARE, [run, RUN]).fetchall()

    # Read the files into the cache of the machine.
    bare()
    first, _ = timed(lambda: connect(folder).errors(parent_run_id=RUN))
    connection = connect(folder)
    calls = {"bare": bare, **questions(connection)}
    before, row_counts = medians(calls)
    scan = before["bare"]

    def beside(what: str, seconds: float, bar: float | None = None, detail: str = "") -> Row:
        return Row(
            f"{what} / the bare scan", seconds / scan, bar, detail=f"{seconds:.2f} s to {scan:.2f} s{detail}"
        )

    size_and_rows = f"; {row_counts['errors']:,} rows of {len(run)} files, {size / MEGABYTE:,.0f} MB"
    yield beside("`errors(parent_run_id=…)`", before["errors"], 1.3, size_and_rows)
    yield beside("the same, the first time: makes the index", first)
    yield beside("the same, after one file grew", grown(folder, paths[0]))
    for name in list(calls)[2:]:
        yield beside(name, before[name], detail=f"; {row_counts[name]:,} rows")
    yield Row("`amllog logs RUN` on a terminal: s to its 50th line", to_line(50, folder), None,
              detail=f"`amllog --version`: {to_line(1, folder, '--version'):.2f} s")  # fmt: skip
    seconds, _ = timed(lambda: compact(folder, idle=timedelta(0)))
    packed = sum(path.stat().st_size for path in (folder / "compacted").rglob("*.parquet"))
    yield beside(
        "`compact`", seconds, detail=f"; {size / MEGABYTE:,.0f} MB become {packed / MEGABYTE:,.0f} MB"
    )
    after, again = medians(questions(connect(folder)))
    assert again == {name: row_counts[name] for name in again}, (row_counts, again)
    for name, seconds in after.items():
        yield Row(f"{name}: times faster when compacted", before[name] / seconds, 5 if name == "errors" else None, True,
                  detail=f"{seconds:.2f} s from {before[name]:.2f} s")  # fmt: skip
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / MEGABYTE
    yield Row("peak memory of all this in one process, MB", peak, 1024)


def questions(connection: Any) -> dict[str, Callable[[], Any]]:
    """Return the most frequent questions."""
    return {
        "errors": lambda: connection.errors(parent_run_id=RUN),
        "first 50 of `logs`": lambda: connection.logs(RUN, limit=50),
        "last 50 of `logs`": lambda: connection.logs(RUN, limit=50, newest_first=True),
        "`steps`": lambda: connection.steps(RUN),
        "`errors` of one step": lambda: connection.errors(step_name="step 07"),
        "`metrics`, one name": lambda: connection.metrics(RUN, name="loss"),
        "`logs` of a run of one file": lambda: connection.logs(SMALL),
    }


def timed(call: Callable[[], Any]) -> tuple[float, int]:
    """Return the seconds of a call and the number of its rows."""
    began = time.perf_counter()
    rows = call()
    return time.perf_counter() - began, len(rows)


def medians(calls: dict[str, Callable[[], Any]]) -> tuple[dict[str, float], dict[str, int]]:
    """Run all calls in turn, several times, and return the median seconds of each and its number of rows."""
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    rows = {}
    for _ in range(ROUNDS):
        for name, call in calls.items():
            took, rows[name] = timed(call)
            seconds[name].append(took)
    return {name: statistics.median(many) for name, many in seconds.items()}, rows


def grown(folder: Path, path: Path) -> float:
    """Return the seconds of a question when a file is longer than in the index."""
    with path.open("a", encoding="utf-8") as file:
        file.writelines(lines(int(time.time()), 0, 1, random.Random(2)))
    return timed(lambda: connect(folder).errors(parent_run_id=RUN))[0]


def to_line(number: int, folder: Path, *arguments: str) -> float:
    """Return the seconds from the start of a command to the line of this number, on a terminal."""
    command = [sys.executable, "-m", "amllog", *(arguments or ("logs", RUN))]
    terminal, command_end = pty.openpty()
    began = time.perf_counter()
    environment = {**os.environ, "PAGER": "cat", "AMLLOG_DIR": str(folder)}
    with subprocess.Popen(
        command, stdin=command_end, stdout=command_end, stderr=subprocess.DEVNULL, env=environment
    ) as child:
        os.close(command_end)
        seen = 0
        while seen < number:
            seen += os.read(terminal, 4096).count(b"\n")
        took = time.perf_counter() - began
        child.kill()
    os.close(terminal)
    return took


def make(folder: Path, records: int) -> None:
    """Write the journals of a run. 1,000 records contain 2 exceptions, 3 errors and 48 metric values."""
    folder.mkdir(parents=True, exist_ok=True)
    chance = random.Random(1)
    for number in range(FILES):
        step = number * STEPS // FILES
        name = f"20261122T{10 + step // 60:02d}{step % 60:02d}{number % 60:02d}-node-{1000 + number}-{number:06x}.jsonl"
        with (folder / name).open("w", encoding="utf-8") as file:
            file.writelines(lines(number, step, records // FILES, chance))
    with (folder / f"20261122T100000-node-1-{SMALL[:8]}.jsonl").open("w", encoding="utf-8") as file:
        file.writelines(line.replace(RUN, SMALL) for line in lines(FILES, 0, 1000, chance))


def lines(number: int, step: int, count: int, chance: random.Random) -> Iterator[str]:
    """Yield the lines of one file."""
    dimensions = {
        "parent_run_id": RUN, "step_id": f"{RUN[:8]}-step-{step:02d}", "step_name": f"step {step:02d}",
        "experiment_name": "main", "run_url": f"https://ml.azure.com/runs/{RUN}?wsid=/subscriptions/s/workspaces/ws",
        "run_type": "training", "node": f"node{number % 10}", "process": "MainProcess", "module": "train",
        "fileName": "/mnt/azureml/cr/j/exe/wd/train.py", "lineNumber": "118", "logger": "train",
    }  # fmt: skip
    tags = {
        "ai.cloud.role": dimensions["step_name"], "ai.cloud.roleInstance": dimensions["node"],
        "ai.internal.sdkVersion": "py3.11.7:amllog0.1.0", "ai.operation.name": dimensions["step_name"],
        "ai.operation.id": RUN.replace("-", ""), "ai.operation.parentId": f"{step:016x}",
    }  # fmt: skip
    for index in range(count):
        when = BEGAN + timedelta(seconds=step * 600 + index * 600 / count)
        kind, base = content(index, count, step, chance.random())
        base["properties"] = {
            **dimensions,
            **base.pop("dimensions", {}),
            "record_id": f"{number:08x}-{index:x}",
        }
        head = {
            "time": f"{when:%Y-%m-%dT%H:%M:%S.%f}Z",
            "iKey": "00000000-0000-0000-0000-000000000000",
            "ver": 1,
        }
        data = {"baseType": kind, "baseData": {"ver": 2, **base}}
        yield json.dumps({**head, "tags": tags, "data": data}, separators=(",", ":")) + "\n"


def content(index: int, count: int, step: int, chance: float) -> tuple[str, dict[str, Any]]:
    """Return the type and the data of one record. The last record of a file is the end of its step."""
    if index == count - 1:
        outcome = {"success": step != 13, "responseCode": "0" if step != 13 else "ValueError"}
        return "RequestData", {
            "name": f"step {step:02d}",
            "id": f"{step:016x}",
            "duration": "0.00:09:59.0",
            **outcome,
        }
    if chance < 0.002:
        stack = 'Traceback (most recent call last):\n  File "train.py", line 118, in fit\nValueError: shapes differ'
        frames = [{"level": 0, "method": "fit", "fileName": "train.py", "line": 118}]
        details = {
            "id": 1,
            "outerId": 0,
            "typeName": "ValueError",
            "message": "shapes differ",
            "hasFullStack": True,
        }
        error = {"exceptions": [{**details, "stack": stack, "parsedStack": frames}], "severityLevel": 3}
        return "ExceptionData", {
            **error,
            "problemId": "ValueError at train.py:fit",
            "dimensions": {"level": "ERROR"},
        }
    if chance < 0.05:
        return "MetricData", {
            "metrics": [{"name": "loss", "value": chance, "count": 1}],
            "dimensions": {"step": str(index)},
        }
    bad = chance > 0.997
    message = (
        f"epoch {index // 100} batch {index} of the training set was read from the store and is being fitted"
    )
    dimensions = {"level": "ERROR" if bad else "INFO", "epoch": str(index // 100), "rows": str(index)}
    return "MessageData", {"message": message, "severityLevel": 3 if bad else 1, "dimensions": dimensions}


if __name__ == "__main__":
    sys.exit(main())
