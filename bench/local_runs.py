"""The cost of a local run: `python bench/local_runs.py`.

It runs pipelines of trivial steps, and compares them with their commands in a shell. The target is at most 1.0 s more
for three steps, and a time per step that does not grow with their number. The CPU time, of all processes, depends less
on other programs of the machine. Commands and runs alternate, so that both meet the same load.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

COMMANDS = ["bash", "-c", "; ".join(["bash -c true"] * 3)]
PIPELINE = "{type: pipeline, jobs: {a: {command: 'true'}, b: {command: 'true'}, c: {command: 'true'}}}"

STEPS = """
import os, sys, time
from pathlib import Path
began = time.perf_counter()
from amllog.local.execution.run_options import RunOptions
from amllog.local.execution.runner import run
from amllog.local.plan.planned_steps import PlannedPipeline, PlannedStep, SourceLine

class Observer:
    def started(self, run): print(f"before the first step {time.perf_counter() - began:.2f} s", file=sys.stderr)
    def changed(self, step): pass
    def line(self, step_name, text): pass
    def ended(self, run): print(f"until the last step {time.perf_counter() - began:.2f} s", file=sys.stderr)

position = SourceLine(Path("p.yml"), 1)
names = [f"s{number}" for number in range(int(sys.argv[1]))]
chain = sys.argv[2] == "chain"
steps = [PlannedStep(name, position, command="echo hello",
                     after=(names[number - 1],) if chain and number else ()) for number, name in enumerate(names)]
result = run(PlannedPipeline("p", position, tuple(steps)), RunOptions(), Observer(), dict(os.environ))
sys.exit(result.exit_code)
"""


SIZES = ((3, "chain", 5), (3, "parallel", 5), (50, "chain", 1), (200, "chain", 1), (200, "parallel", 1))


def seconds(words: list[str], folder: str, *, errors: int | None = None) -> float:
    """Return the time of a command. `errors`: where its stderr goes."""
    began = time.perf_counter()
    subprocess.run(words, cwd=folder, check=True, stdout=subprocess.DEVNULL, stderr=errors)
    return time.perf_counter() - began


def cpu_seconds(words: list[str], folder: str, *, errors: int | None = None) -> float:
    """Return the CPU time of a command and of all processes that it waits for."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds(words, folder, errors=errors)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def compare_commands(rounds: int = 7) -> None:
    """Print how much more `amllog run` with three steps takes than their commands: wall time and CPU time."""
    run = [sys.executable, "-m", "amllog", "run", "p.yml"]
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "p.yml").write_text(PIPELINE, encoding="utf-8")
        for name, measure in (("wall", seconds), ("CPU", cpu_seconds)):
            pairs = [
                (measure(COMMANDS, folder), measure(run, folder, errors=subprocess.DEVNULL))
                for _ in range(rounds)
            ]
            shell, whole = (min(times) for times in zip(*pairs))
            print(
                f"amllog run, 3 steps, {name} time: {whole:.2f} s, {whole - shell:.2f} s more than the commands"
            )


def best(words: list[str], rounds: int) -> float:
    """Return the shortest time of a command, each time in an empty folder."""
    times = []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as folder:
            times.append(seconds(words, folder))
    return min(times)


def main() -> None:
    """Print one line per pipeline."""
    print(f"Python {sys.version.split()[0]}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    compare_commands()
    shell = best(["bash", "-c", "bash -c 'echo hello'; bash -c 'echo hello'; bash -c 'echo hello'"], 5)
    print(f"three commands in a shell: {shell:.2f} s")
    for count, shape, rounds in SIZES:
        time_of_run = best([sys.executable, "-c", STEPS, str(count), shape], rounds)
        print(f"{count} steps, {shape}: {time_of_run:.2f} s, {time_of_run / count * 1000:.0f} ms per step")


if __name__ == "__main__":
    main()
