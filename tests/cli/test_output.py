"""What the commands print: no record, name or argument moves the cursor or forges a line."""

from __future__ import annotations

import ast
import csv
import io
import json
import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import amllog.cli

HOSTILE = "a\x1b[2Jb\x1b]8;;http://x\x07c\x9b31m\u202e\u2066\u200b\u2028\x85\r\nERROR forged: d\udcff\x00"
ACTING = set("\x1b\x07\x9b\x00\r\x85\u202e\u2066\u200b\u2028")
COMMANDS = ("runs", "steps", "logs", "errors", "exceptions", "metrics", "timeline", "story", "tail", "status")


def records(folder: Path) -> None:
    """A journal of other hands, in which every text is hostile."""
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
        own = {
            "parent_run_id": HOSTILE,
            "step_id": HOSTILE,
            "step_name": HOSTILE,
            "experiment_name": HOSTILE,
            "level": HOSTILE,
            "record_id": f"a-{number}",
            HOSTILE: HOSTILE,
        }
        tags = {"ai.operation.id": HOSTILE, "ai.operation.parentId": HOSTILE}
        whole = {**data, "properties": own}
        lines.append(
            json.dumps(
                {
                    "time": f"2026-11-22T20:52:3{number}.123456Z",
                    "iKey": "k",
                    "ver": 1,
                    "name": "Microsoft.ApplicationInsights.Message",
                    "tags": tags,
                    "data": {"baseType": kind, "baseData": whole},
                }
            )
        )
    text = "\n".join(lines).replace("\\udcff", "") + "\n"
    folder.mkdir()
    (folder / "20261122T205235-n-1-abcd.jsonl").write_text(text)
    said = {"outlet": "app_insights", "to": 10, "delivered": 0, "refused": {HOSTILE.replace("\udcff", ""): 1}}
    (folder / "20261122T205235-n-1-abcd.ack").write_text(json.dumps(said) + "\n")


@pytest.mark.parametrize("form", [[], ["--json"]])
def test_no_text_of_a_record_acts_on_a_terminal(tmp_path: Path, cli: Any, form: list[str]) -> None:
    """Every command that reads prints control characters in an escaped form, and no record begins a line of its own."""
    records(tmp_path / "j")
    env = {"AMLLOG_DIR": str(tmp_path / "j")}
    for command in COMMANDS:
        where = ["all"] if command in ("logs", "errors", "exceptions", "metrics", "timeline") else []
        done = cli(command, *where, *form, env=env)
        text = done.stdout + done.stderr
        assert not ACTING & set(text), (command, text)
        assert not any(line.startswith("ERROR forged") for line in text.splitlines()), (command, text)
        assert "Traceback" not in text, (command, text)


def test_no_argument_acts_on_a_terminal(cli: Any) -> None:
    """An argument or a path in an error message is printed in an escaped form, in one line."""
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


def on_a_terminal(*arguments: str, env: dict[str, str]) -> str:
    """What `amllog …` prints there."""
    master, slave = pty.openpty()
    command, env = [sys.executable, "-m", "amllog", *arguments], {**os.environ, "PAGER": "cat", **env}
    with subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, env=env) as process:
        os.close(slave)
        said = b""
        while True:
            try:
                read = os.read(master, 65536)
            except OSError:  # Linux: nobody has the other end any more
                break
            if not read:
                break
            said += read
    os.close(master)
    assert process.returncode in (0, 1), said
    return said.decode().replace("\r\n", "\n")


@pytest.mark.parametrize("command", ["runs", "steps", "logs", "errors", "exceptions", "metrics", "timeline", "tail",
                                     "story", "compare"])  # fmt: skip
def test_csv_on_a_terminal(tmp_path: Path, command: str) -> None:
    """There, control characters and line feeds within a cell are written out; a program gets them as they are."""
    records(tmp_path / "j")
    env = {"AMLLOG_DIR": str(tmp_path / "j")}
    where = ["all"] if command in ("logs", "errors", "exceptions", "metrics", "timeline") else []
    where = ["last", "last"] if command == "compare" else where
    said = on_a_terminal(command, *where, "--csv", env=env)
    assert not ACTING & set(said), ascii(said)
    assert not any(line.lstrip('"').startswith("ERROR forged") for line in said.splitlines()), said
    piped = [sys.executable, "-m", "amllog", command, *where, "--csv"]
    done = subprocess.run(piped, env={**os.environ, **env}, capture_output=True, check=False)
    rows = list(csv.reader(io.StringIO(done.stdout.decode(), newline="")))
    assert {len(row) for row in rows} == {len(rows[0])}
    assert command == "story" or any("\nERROR forged" in cell for row in rows for cell in row)


def test_the_name_of_a_script_stays_in_its_line(tmp_path: Path, cli: Any) -> None:
    """A line feed in it begins no line of `amllog doctor`'s, and a module's name is not printed by Python itself."""
    script = tmp_path / "x\nforged: all is well.py"
    script.write_text("import logging\n")
    done = cli("doctor", script)
    assert "x\\nforged" in done.stdout or "x\\x0aforged" in done.stdout
    assert not any(line.startswith("forged") for line in done.stdout.splitlines())
    done = cli("run", "-m", "x\x1b[2J\u202e\x9b")
    assert done.returncode == 2 and "there is no module" in done.stderr
    assert not {"\x1b", "\u202e", "\x9b"} & set(done.stderr)


def test_an_output_without_unicode_gets_escapes(tmp_path: Path) -> None:
    """Where the output's encoding cannot express a character, it is escaped instead of raising an error."""
    records(tmp_path / "j")
    env = {**os.environ, "PYTHONIOENCODING": "ascii", "AMLLOG_DIR": str(tmp_path / "j")}
    done = subprocess.run([sys.executable, "-m", "amllog", "logs", "all"], env=env, capture_output=True)
    assert done.returncode == 0, done.stderr
    done.stdout.decode("ascii")


def test_output_leaves_in_one_place() -> None:
    """Only `output` writes to a stream, and `pager` to the pipe of the pager."""
    found = []
    for path in Path(amllog.cli.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                name = ast.unparse(node.func)
                if name == "print" or name.endswith(("stdout.write", "stderr.write", "stream.write")):
                    found.append(f"{path.name}: {name}")
    allowed = {"output.py", "pager.py"}
    assert [one for one in found if one.partition(":")[0] not in allowed] == []
