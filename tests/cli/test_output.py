"""The output of all commands, in which no record, name or argument can move the cursor or forge a line."""

from __future__ import annotations

import ast
import csv
import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import amllog.cli

from .conftest import run_on_terminal  # isort: skip

HOSTILE = "a\x1b[2Jb\x1b]8;;http://x\x07c\x9b31m\u202e\u2066\u200b\u2028\x85\r\nERROR forged: d\udcff\x00"
ACTING = set("\x1b\x07\x9b\x00\r\x85\u202e\u2066\u200b\u2028")
COMMANDS = ("runs", "steps", "logs", "errors", "exceptions", "metrics", "timeline", "story", "tail", "status")


def write_hostile_records(folder: Path) -> None:
    """Write a journal whose strings all contain control characters."""
    base = [
        ("MessageData", {"message": HOSTILE, "severityLevel": 3}),
        ("EventData", {"name": HOSTILE}),
        ("MetricData", {"metrics": [{"name": HOSTILE, "value": 1}]}),
        ("ExceptionData", {"exceptions": [{"typeName": HOSTILE, "message": HOSTILE, "stack": HOSTILE}]}),
        (
            "RequestData",
            {
                "id": "s1",
                "name": HOSTILE,
                "duration": "00:00:01",
                "success": False,
                "responseCode": HOSTILE,
            },
        ),
        ("RemoteDependencyData", {"id": "d1", "name": HOSTILE, "duration": "00:00:01", "success": True}),
    ]
    lines = []
    for number, (kind, data) in enumerate(base):
        properties = {
            "parent_run_id": HOSTILE,
            "step_id": HOSTILE,
            "step_name": HOSTILE,
            "experiment_name": HOSTILE,
            "level": HOSTILE,
            "record_id": f"a-{number}",
            HOSTILE: HOSTILE,
        }
        tags = {"ai.operation.id": HOSTILE, "ai.operation.parentId": HOSTILE}
        complete = {**data, "properties": properties}
        lines.append(
            json.dumps(
                {
                    "time": f"2026-11-22T20:52:3{number}.123456Z",
                    "iKey": "k",
                    "ver": 1,
                    "name": "Microsoft.ApplicationInsights.Message",
                    "tags": tags,
                    "data": {"baseType": kind, "baseData": complete},
                }
            )
        )
    text = "\n".join(lines).replace("\\udcff", "") + "\n"
    folder.mkdir()
    (folder / "20261122T205235-n-1-abcd.jsonl").write_text(text)
    entry = {
        "outlet": "app_insights",
        "to": 10,
        "delivered": 0,
        "refused": {HOSTILE.replace("\udcff", ""): 1},
    }
    (folder / "20261122T205235-n-1-abcd.ack").write_text(json.dumps(entry) + "\n")


@pytest.mark.parametrize("form", [[], ["--json"]])
def test_control_characters_of_records_are_escaped(tmp_path: Path, cli: Any, form: list[str]) -> None:
    """Every query command escapes control characters, and no record can begin a line."""
    write_hostile_records(tmp_path / "j")
    env = {"AMLLOG_DIR": str(tmp_path / "j")}
    for command in COMMANDS:
        where = ["all"] if command in ("logs", "errors", "exceptions", "metrics", "timeline") else []
        done = cli(command, *where, *form, env=env)
        text = done.stdout + done.stderr
        assert not ACTING & set(text), (command, text)
        assert not any(line.startswith("ERROR forged") for line in text.splitlines()), (command, text)
        assert "Traceback" not in text, (command, text)


def test_control_characters_of_arguments_are_escaped(cli: Any) -> None:
    """An argument or a path in an error message is escaped, and cannot begin a line."""
    odd = "x\x1b[2J\nforged"
    for arguments in (
        ["logs", "--dir", odd],
        ["logs", odd],
        ["logs", "--bad" + odd],
        [odd],
        ["status", odd],
        ["compact", odd],
        ["logs", "--limit", odd],
        ["query", odd],
        ["query", "print ['a\\nforged']=1, y='a\\nforged'"],
        ["doctor", odd],
        ["run", odd],
        ["run", "-m", odd],
    ):
        done = cli(*arguments)
        text = done.stdout + done.stderr
        assert "\x1b" not in text and not any(line.startswith("forged") for line in text.splitlines()), (
            arguments
        )


@pytest.mark.parametrize("command", ["runs", "steps", "logs", "errors", "exceptions", "metrics", "timeline", "tail",
                                     "story", "compare"])  # fmt: skip
def test_csv_is_escaped_on_a_terminal(tmp_path: Path, command: str) -> None:
    """CSV is escaped on a terminal, and is unchanged for another program."""
    write_hostile_records(tmp_path / "j")
    env = {"AMLLOG_DIR": str(tmp_path / "j")}
    where = ["all"] if command in ("logs", "errors", "exceptions", "metrics", "timeline") else []
    where = ["last", "last~0"] if command == "compare" else where
    output, code = run_on_terminal(command, *where, "--csv", env={**env, "PAGER": "cat"})
    assert code in (0, 1), output
    assert not ACTING & set(output), ascii(output)
    assert not any(line.lstrip('"').startswith("ERROR forged") for line in output.splitlines()), output
    piped = [sys.executable, "-m", "amllog", command, *where, "--csv"]
    done = subprocess.run(piped, env={**os.environ, **env}, capture_output=True, check=False)
    text = done.stdout.decode().replace("\0", "")  # csv of Python 3.9 and 3.10 rejects NUL
    rows = list(csv.reader(io.StringIO(text, newline="")))
    assert {len(row) for row in rows} == {len(rows[0])}
    assert command == "story" or any("\nERROR forged" in cell for row in rows for cell in row)


def test_names_of_scripts_and_modules_are_escaped(tmp_path: Path, cli: Any) -> None:
    """A line feed in the name of a script or module begins no line of the output."""
    script = tmp_path / "x\nforged: all is well.py"
    script.write_text("import logging\n")
    done = cli("doctor", script)
    assert "x\\nforged" in done.stdout or "x\\x0aforged" in done.stdout
    assert not any(line.startswith("forged") for line in done.stdout.splitlines())
    done = cli("run", "-m", "x\x1b[2J\u202e\x9b")
    assert done.returncode == 2 and "there is no module" in done.stderr
    assert not {"\x1b", "\u202e", "\x9b"} & set(done.stderr)


def test_an_output_without_unicode(tmp_path: Path) -> None:
    """Characters that the encoding of stdout does not have are escaped."""
    write_hostile_records(tmp_path / "j")
    env = {**os.environ, "PYTHONIOENCODING": "ascii", "AMLLOG_DIR": str(tmp_path / "j")}
    done = subprocess.run([sys.executable, "-m", "amllog", "logs", "all"], env=env, capture_output=True)
    assert done.returncode == 0, done.stderr
    done.stdout.decode("ascii")


def test_only_output_writes_to_streams() -> None:
    """Only `output` writes to a stream, and `pager` to the pipe of the pager."""
    calls = []
    for path in Path(amllog.cli.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                name = ast.unparse(node.func)
                if name == "print" or name.endswith(("stdout.write", "stderr.write", "stream.write")):
                    calls.append(f"{path.name}: {name}")
    allowed = {"output.py", "pager.py"}
    assert [call for call in calls if call.partition(":")[0] not in allowed] == []


@pytest.mark.usefixtures("failed_run")
def test_colour_can_be_forced(cli: Any) -> None:
    """A pipe is not coloured without FORCE_COLOR or CLICOLOR_FORCE, and NO_COLOR overrides them."""
    environments = {
        "": {},
        "FORCE_COLOR": {"FORCE_COLOR": "1"},
        "CLICOLOR_FORCE": {"CLICOLOR_FORCE": "1"},
        "0": {"FORCE_COLOR": "0"},
        "NO_COLOR": {"FORCE_COLOR": "1", "NO_COLOR": "1"},
    }
    coloured = {name for name, env in environments.items() if "\x1b[" in cli("logs", env=env).stdout}
    assert coloured == {"FORCE_COLOR", "CLICOLOR_FORCE"}
    output, _ = run_on_terminal("logs", env={"PAGER": "", "CLICOLOR": "0"})
    assert "slow fold" in output and "\x1b[" not in output


def test_ids_are_escaped(cli: Any, child: Any) -> None:
    """Control characters in ids are escaped in answers, notices and errors."""
    code = "import amllog\namllog.setup(step_name='a\x1b[2Jb', dimensions={'parent_run_id': 'run\x1b[2J'})\n"
    assert child(code + "1 / 0", env={"AMLLOG_DRIVER_LOG_LEVEL": "CRITICAL"}).returncode == 1
    for command in (("story",), ("logs",), ("steps",), ("runs",), ("logs", "nosuch"), ("compare",)):
        done = cli(*command)
        assert "\x1b" not in done.stdout + done.stderr and "\\x1b[2J" in done.stdout + done.stderr


def test_csv_and_json_are_lossless(cli: Any, child: Any) -> None:
    """CSV and JSON return every character, and both are escaped on a terminal."""
    text = 'one\rtwo\nthree, "four" \x1b[2J \x9b2J \u202e \x7f'
    assert child(f"import amllog\namllog.setup().info({text!r})\n").returncode == 0
    done = subprocess.run(
        [sys.executable, "-m", "amllog", "logs", "--csv"], stdout=subprocess.PIPE, check=True
    )
    (row,) = csv.DictReader(io.StringIO(done.stdout.decode(), newline=""))
    assert row["message"] == text
    assert json.loads(cli("logs", "--json").stdout)[0]["message"] == text
    for form in ("--csv", "--json"):
        output, _ = run_on_terminal("logs", form, env={"PAGER": "cat"})
        assert "three" in output and not set("\x1b\x9b\u202e\x7f") & set(output)
