"""Command-line frameworks that catch the exception of a script and exit with a code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

SETUP = "import sys\nimport amllog\nlog = amllog.setup()\n"
HYDRA = "import hydra\n@hydra.main(version_base=None, config_path=None)\ndef main(config): BODY\nmain()"
CLICK = "import click\n@click.command()\n@click.option('--n', type=int, default=1)\ndef main(n): BODY\nmain()"
TYPER = "import typer\napp = typer.Typer()\n@app.command()\ndef main(n: int = 1): BODY\napp()"
ABSL = (
    "from absl import app, flags\nflags.DEFINE_integer('n', 1, '')\ndef main(arguments): BODY\napp.run(main)"
)
FAIL = "raise ValueError('boom')"
CASES: dict[str, tuple[str, str, tuple[str, ...], str, list[str]]] = {
    "hydra": (HYDRA, FAIL, (), "exit code 1", ["ValueError"]),
    "hydra, bad override": (HYDRA, FAIL, ("x=1",), "exit code 1", ["ConfigCompositionException"]),
    "hydra, logged": (
        HYDRA,
        "\n    try: int('x')\n    except ValueError:\n        log.exception('failed')\n        raise",
        (),
        "exit code 1",
        ["ValueError"],
    ),
    "click error": (CLICK, "raise click.ClickException('no data')", (), "exit code 1", ["ClickException"]),
    "click usage": (CLICK, FAIL, ("--n", "x"), "exit code 2", ["BadParameter"]),
    "click": (CLICK, FAIL, (), "uncaught exception", ["ValueError"]),
    "click exit": (CLICK, "click.get_current_context().exit(3)", (), "exit code 3", []),
    "click exit in an except": (
        CLICK,
        "\n    try: int('x')\n    except ValueError: click.get_current_context().exit(3)",
        (),
        "exit code 3",
        ["ValueError"],
    ),
    "click help": (CLICK, FAIL, ("--help",), "0", []),
    "typer": (TYPER, FAIL, (), "uncaught exception", ["ValueError"]),
    "typer exit": (
        TYPER,
        "\n    try: int('x')\n    except ValueError: raise typer.Exit(1)",
        (),
        "exit code 1",
        ["ValueError"],
    ),
    "typer usage": (TYPER, FAIL, ("--n", "x"), "exit code 2", ["BadParameter"]),
    "absl": (ABSL, FAIL, (), "uncaught exception", ["ValueError"]),
    "absl usage": (ABSL, "raise app.UsageError('bad')", (), "exit code 1", ["UsageError"]),
    "absl flag": (ABSL, FAIL, ("--n=x",), "exit code 1", ["IllegalFlagValueError"]),
    "argparse": (
        (
            "import argparse\nparser = argparse.ArgumentParser()\nparser.add_argument('--n', type=int)\n"
            "parser.parse_args()"
        ),
        "",
        ("--n", "x"),
        "exit code 2",
        ["ArgumentError"],
    ),
    "jsonargparse": (
        "import jsonargparse\ndef main(n: int = 1): pass\njsonargparse.CLI(main)",
        "",
        ("--n", "x"),
        "exit code 2",
        ["TypeError"],
    ),
    "fire": (
        "import fire\ndef main(): BODY\nfire.Fire(main)",
        FAIL,
        (),
        "uncaught exception",
        ["ValueError"],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_causes(child: Any, journaled: Any, tmp_path: Path, case: str) -> None:
    """The exception is recorded once, and the result is the exit code that the framework chose."""
    code, body, arguments, result, kinds = CASES[case]
    script = tmp_path / "train.py"
    script.write_text(SETUP + code.replace("BODY", body))
    ran = child(script, *arguments, env={"AMLLOG_DRIVER_LEVEL": "CRITICAL"})
    records = journaled()
    found = [data["exceptions"][0]["typeName"].rpartition(".")[2] for data in records.of_type("Exception")]
    assert [data["responseCode"] for data in records.of_type("Request")] == [result], ran.stderr
    assert found == kinds


FAMILY = """
import sys
import multiprocess
import amllog
log = amllog.setup()

def work(number):
    log.info("worker")
    return number

def fail():
    raise ValueError("boom")

if __name__ == "__main__":
    context = multiprocess.get_context(sys.argv[1])
    with context.Pool(2) as pool:
        print(pool.map(work, range(2)))
    process = context.Process(target=fail)
    process.start()
    process.join()
"""


@pytest.mark.parametrize("where", ["a job", "a laptop"])
def test_processes_of_dill(child: Any, journaled: Any, tmp_path: Path, where: str) -> None:
    """Spawned workers of `multiprocess` (dill, pathos) end no step, and their exception is recorded."""
    job = {"AZUREML_RUN_ID": "pipe_1_train", "AMLLOG_METRICS": "none"} if where == "a job" else {}
    script = tmp_path / "train.py"
    script.write_text(FAMILY)
    ran = child(script, "spawn", env={**job, "AMLLOG_DRIVER_LEVEL": "CRITICAL"})
    records = journaled("logs/amllog" if job else ".amllog")
    assert [data["success"] for data in records.of_type("Request")] == [True], ran.stderr
    assert records.of_type("RemoteDependency") == [] and records.messages == ["worker"] * 2
    assert [data["exceptions"][0]["typeName"] for data in records.of_type("Exception")] == ["ValueError"]
