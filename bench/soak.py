"""A soak test with a failing service: `python bench/soak.py [--minutes 10] [--rate 2000]`.

A script logs from four threads, without a pause and at `rate` records per second, while the service fails in a new way
every few seconds. The output is a table of the checks with their figures. The exit code is 1 if a check fails.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).parent.parent))

from amllog.exporters.app_insights.http_exporter import AppInsightsExporter
from amllog.local import AzureOnThisMachine
from amllog.local.faults import Fault

GRACE_SECONDS = 5.0
SLACK_SECONDS = 5.0  # for a busy machine, in addition to the grace
FLAT_BYTES = 30 * 1024 * 1024  # growth from the first half to the second: a batch takes 26 MB
LAST = 100  # records that are logged while the service hangs, just before the end
THREADS = 4
MAX_FILES = 64

FAULTS: dict[str, list[Fault]] = {
    "503": [Fault(status=503)],
    "429": [Fault(status=429, headers={"Retry-After": "2"}, times=2)],
    "slow": [Fault(seconds=1.0)],
    "drops": [Fault(drops=0.02, times=2)],
    "hangs": [Fault(hang="before headers")],
    "hangs after the headers": [Fault(hang="after headers")],
    "closes": [Fault(close=True)],
    "answer lost": [Fault(close=True, carried_out=True, times=1)],
    "206, some later": [Fault(item=r'"message":\s?"\w+ \d*7"', status=429, message="later", times=3)],
    "206, some refused": [Fault(item=r'"message":\s?"\w+ \d*77"', status=400, message="bad")],
    "206, some sampled out": [Fault(item=r'"message":\s?"\w+ \d*88"', status=206, message="Telemetry sampled out.")],
    "206, unreadable": [Fault(status=206, body="?", times=2)],
    "refused": [],  # the port is closed
}  # fmt: skip
LOSES = {"answer lost": 1, "drops": 2, "refused": 1}  # responses to accepted batches that each may lose
BATCH = AppInsightsExporter.max_records  # sent again when its response is lost


class Check(NamedTuple):
    """A promise, the figures, and whether it held."""

    what: str
    figures: str
    holds: bool


def script(seconds: float, rate: float) -> None:
    """Run the process under test: log, measure its memory, threads and files, and print them."""
    import amllog

    log = amllog.setup(
        driver_level="CRITICAL", grace_seconds=GRACE_SECONDS, journal_max_bytes="256 MiB", capture="logging"
    )
    over, calls, samples = time.monotonic() + seconds, Counter[int](), []

    def work(name: int) -> None:
        number = 0
        while time.monotonic() < over:
            for _ in range(20):
                log.info("record %d", number, thread=name)
                number += 1
            log.metric("loss", number / 7, step=number)
            with log.span("part", thread=name):
                number += 1
            calls[name] += 22
            time.sleep(22 * THREADS / rate)

    threads = [threading.Thread(target=work, args=(name,)) for name in range(THREADS)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        ours = sum(thread.name.startswith("amllog") for thread in threading.enumerate())
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        samples.append((pages * os.sysconf("SC_PAGE_SIZE"), len(os.listdir("/proc/self/fd")), ours))
        time.sleep(min(1.0, seconds / 20))
    _print_json({"samples": samples})
    sys.stdin.readline()  # the service works now
    account = amllog.flush(120)
    insights = account.outlets["app_insights"]
    _print_json({
        "calls": sum(calls.values()), "accepted": account.accepted,
        "delivered": insights.delivered, "waiting": insights.waiting, "refused": insights.refused,
    })  # fmt: skip
    sys.stdin.readline()  # the service hangs now
    for number in range(LAST):
        log.info("last %d", number)
    _print_json({"bye": True})


def _print_json(content: dict[str, Any]) -> None:
    print(json.dumps(content), flush=True)


def inject_faults(
    azure: AzureOnThisMachine, over: threading.Event, seen: Counter[str], seconds: float
) -> None:
    """Switch faults of the service on and off, with pauses between them, until `over` is set."""
    while not over.is_set():
        name = min(FAULTS, key=lambda fault: (seen[fault], random.random()))
        seen[name] += 1
        azure.faults.put(*FAULTS[name])
        if name == "refused":
            azure.stop()
        over.wait(random.uniform(0.3, 1.7) * seconds)
        azure.faults.clear()
        if name == "refused":
            azure.start()
        over.wait(random.uniform(0.3, 1.7) * seconds)


def soak(minutes: float, rate: float, folder: Path) -> tuple[list[Check], Counter[str]]:
    """Run the soak, and return the checks and how often each fault was on."""
    seen, over = Counter[str](), threading.Event()
    with AzureOnThisMachine(folder / "azure") as azure:
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("AMLLOG_", "AZUREML_"))},
            "APPLICATIONINSIGHTS_CONNECTION_STRING": azure.connection_string,
            "PYTHONPATH": str(Path(__file__).parent.parent),
        }  # fmt: skip
        process = subprocess.Popen(
            [sys.executable, __file__, "--script", str(minutes * 60), "--rate", str(rate)],
            cwd=folder, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert process.stdin is not None
        assert process.stdout is not None
        injector = threading.Thread(target=inject_faults, args=(azure, over, seen, min(4.0, minutes * 2)))
        injector.start()
        samples = json.loads(process.stdout.readline())["samples"]
        over.set()
        injector.join()
        print("well", file=process.stdin, flush=True)
        account = json.loads(process.stdout.readline())
        azure.faults.put(Fault(hang="before headers"))
        print("hangs", file=process.stdin, flush=True)
        process.stdout.readline()
        bye = time.monotonic()
        code = process.wait(120)
        exit_seconds = time.monotonic() - bye
        azure.faults.clear()
        delivery = [sys.executable, "-m", "amllog", "deliver", ".amllog"]
        subprocess.run(delivery, cwd=folder, env=environment, check=False, capture_output=True, timeout=300)
        ids = Counter(_record_ids(folder / "azure"))
    lost = sum(seen[name] * answers for name, answers in LOSES.items())
    return [*_of_process(samples), *_of_account(account, ids, lost), _of_exit(code, exit_seconds)], seen


def _record_ids(directory: Path) -> list[str]:
    """Return the record ids that arrived, with repetitions."""
    return [
        record_id
        for path in directory.rglob("*.jsonl")
        for line in path.open(encoding="utf-8")
        for record_id in re.findall(r'"record_id": ?"([^"]+)"', line)
    ]


def _of_process(samples: list[list[int]]) -> list[Check]:
    memory, files, threads = ([sample[index] for sample in samples] for index in range(3))
    warm = memory[len(memory) // 5 :]
    halves = statistics.median(warm[: len(warm) // 2]), statistics.median(warm[len(warm) // 2 :])
    figures = "{:.1f} MB, then {:.1f} MB; at most {:.1f} MB".format(
        *(size / 1e6 for size in (*halves, max(memory)))
    )
    return [
        Check("memory is flat after the warm-up", figures, halves[1] - halves[0] <= FLAT_BYTES),
        Check("open files are bounded", f"at most {max(files)}", max(files) <= MAX_FILES),
        Check("one thread", f"at most {max(threads)}", max(threads) == 1),
    ]


def _of_account(account: dict[str, Any], ids: Counter[str], lost: int) -> list[Check]:
    refused = sum(account["refused"].values())
    total = account["delivered"] + account["waiting"] + refused
    reasons = "; ".join(f"{count} x {reason}" for reason, count in account["refused"].items())
    calls, after = account["calls"], LAST + 1  # and the end of the step
    figures = f"{calls:,} calls = {account['delivered']:,} + {account['waiting']:,} + {refused:,} ({reasons})"
    arrived = account["delivered"] + account["waiting"] + after
    again = sum(ids.values()) - len(ids)
    twice = (
        f"{again:,} times, of {lost} responses that may be lost; one record at most {max(ids.values())} times"
    )
    explained = again <= lost * BATCH and max(ids.values()) <= lost + 1
    there = arrived <= len(ids) <= arrived + refused
    return [
        Check("calls = accepted = delivered + waiting + refused", figures, calls == account["accepted"] == total),
        # More arrive if a response was lost and a fault refused the record when it was sent again.
        Check("each delivered record is there", f"{len(ids):,} of {arrived:,}", there),
        Check("twice only where a response was lost, with the same id", twice, explained),
    ]  # fmt: skip


def _of_exit(code: int, seconds: float) -> Check:
    holds = code == 0 and seconds <= GRACE_SECONDS + SLACK_SECONDS
    return Check(
        f"exit within {GRACE_SECONDS:g} s of grace, with a hanging service", f"{seconds:.1f} s", holds
    )


def main() -> int:
    """Run the soak and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--rate", type=float, default=2000.0)
    parser.add_argument("--script", type=float, metavar="SECONDS", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.script:
        script(options.script, options.rate)
        return 0
    with tempfile.TemporaryDirectory() as folder:
        checks, seen = soak(options.minutes, options.rate, Path(folder))
    print("| check | figures | holds |\n|---|---|---|")
    for check in checks:
        print(f"| {check.what} | {check.figures} | {'yes' if check.holds else 'NO'} |")
    print("\nfaults: " + ", ".join(f"{name} {count}" for name, count in seen.items()))
    return int(not all(check.holds for check in checks))


if __name__ == "__main__":
    sys.exit(main())
