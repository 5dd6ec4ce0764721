"""Words and options of other tools."""

from __future__ import annotations

import re
from typing import Any

import pytest

from amllog.cli import habits, parser
from amllog.cli.main import COMMANDS


@pytest.mark.parametrize(
    ("words", "same"),
    [
        ("", "--help"), ("help", "--help"), ("help logs", "logs --help"), ("version", "--version"), ("-V", "--version"),
        ("--json runs", "runs --json"), ("logs -3", "logs -n3"), ("tail -F -5", "tail -f -n5"),
        ("logs --tail 3", "logs --tail 3"), ("logs --since -1h", "logs --since=-1h"),
        ("run x.py -3 -F", "run x.py -3 -F"),
    ],
)  # fmt: skip
def test_rewritten(words: str, same: str) -> None:
    """Words of exactly the same meaning are accepted. Arguments of a script are not touched."""
    assert habits.rewrite(words.split(), COMMANDS) == same.split()


@pytest.mark.parametrize(
    ("word", "hint"),
    [
        ("stroy", "did you mean story?"), ("lgos", "did you mean logs?"), ("ps", "did you mean runs?"),
        ("diff", "did you mean compare?"), ("error", "did you mean errors?"), ("zzz", "amllog help lists the commands"),
        ("pipeline.yml", "did you mean amllog run pipeline.yml?"), ("train.py", "did you mean amllog run train.py?"),
    ],
)  # fmt: skip
def test_commands(word: str, hint: str) -> None:
    """An unknown command names the nearest one, or the one with the meaning of another tool."""
    assert habits.explain_command(word, COMMANDS) == f"invalid choice: {word!r}: {hint}"


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        ("--tial 3", "did you mean --tail?"), ("--step train", "did you mean --step-name?"),
        ("--run-id x", "the run is an argument without an option: amllog logs RUN"), ("-o json", "use --json or --csv"),
        ("--no-color", "set NO_COLOR=1"), ("x y", "amllog logs --help lists the options"),
    ],
)  # fmt: skip
def test_options(words: str, hint: str) -> None:
    """An unknown option names the right one."""
    message = habits.explain_option("logs", words.split(), parser.options_of("logs"))
    assert message.startswith(f"unrecognized arguments: {words}: {hint}")


def test_hints_exist() -> None:
    """Each command in a hint exists, and no word of the tables is a command."""
    assert {hint.split()[0] for hint in habits.WORDS.values()} <= COMMANDS.keys()
    assert habits.WORDS.keys() & COMMANDS.keys() == set()
    named = {option for hint in habits.OPTIONS.values() for option in re.findall(r"--[a-z-]+", hint)}
    assert named <= {option for command in COMMANDS for option in parser.options_of(command)}


def test_lines_of_a_user(child: Any, cli: Any, tmp_path: Any) -> None:
    """The habits of other tools work, or are one line with exit code 2 and without a traceback."""
    assert (
        child("import amllog\nlog = amllog.setup()\nlog.info('careful')\nlog.warning('second')").returncode
        == 0
    )
    (tmp_path / "q.kql").write_text("traces | take 1")
    for line, found in (
        ("logs --tail 1", "second"), ("logs -1", "second"), ("tail -F --every 0.1", "second"), ("logs -f", "careful"),
        ("logs --since yesterday --grep careful", "careful"), ("logs --level warn", "second"), ("help", "COMMAND"),
        ("query -f q.kql", "trace"), ("logs --tz +02:00", "+0200"), ("status --dir .amllog", "3 accepted"),
        ("compact --dir .amllog", "nothing to compact"), ("runs --limit 1", "local_"), ("runs -n 1", "local_"),
    ):  # fmt: skip
        ran = cli(*line.split())
        assert (ran.returncode, found in ran.stdout) == (0, True), (line, ran)
    for line in (
        "stroy",
        "query q.kql",
        "compare last last",
        "logs --last yesterday",
        "run python train.py",
        "logs --tial 3",
        "story --tz local",
    ):
        ran = cli(*line.split())
        assert (ran.returncode, ran.stdout, ran.stderr.count("\n")) == (2, "", 1), (line, ran)
