"""The options of `amllog run` for files of Azure ML's format."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

import pytest

from amllog.cli import parser, pipeline_options

OPTIONS = """
--check --input rate=0.1 --input url=https://x/?a=b --data https://x/?a=b=data/x --env e@latest=.venv/bin/python
--jobs 2 --skip a --skip b --stub c=folder --from d --only e --reuse --timeout 9 --debug f
"""
WORDS = OPTIONS.split()


def parse(*words: str) -> tuple[Namespace, list[str]]:
    """Parse a command line of `amllog run` as the command does."""
    options = parser.parser().parse_args(["run", *words])
    return options, pipeline_options.parse_rest(ArgumentParser(), options)


@pytest.mark.parametrize("position", [0, 1, 4])
def test_options_stand_before_and_after_the_file(position: int) -> None:
    """All options have the same meaning at both places."""
    split = {0: 0, 1: 1, 4: 5}[position]
    options, rest = parse(*WORDS[:split], "p.yml", *WORDS[split:])
    assert rest == []
    assert (options.script, options.check, options.reuse, options.jobs) == ("p.yml", True, True, 2)
    assert options.input == [("rate", "0.1"), ("url", "https://x/?a=b")]
    assert options.data == [("https://x/?a=b", "data/x")]
    assert options.env == [("e@latest", ".venv/bin/python")]
    assert (options.skip, options.stub, options.only) == (["a", "b"], [("c", "folder")], ["e"])
    assert (options.start_from, options.timeout, options.debug_step) == ("d", 9.0, "f")


def test_values_add_up_and_the_last_one_wins() -> None:
    """An option before and after the file counts twice. Of one name, the last value is used."""
    options, _ = parse("--input", "a=1", "p.yml", "--input", "a=2", "--input", "b=")
    assert pipeline_options.pairs(options.input) == {"a": "2", "b": ""}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--input", "rate"], "'rate': expected NAME=VALUE"),
        (["--data", "=x"], "'=x': expected NAME=PATH"),
        (["--data", "x="], "'x=': expected NAME=PATH"),
        (["--jobs", "0"], "'0': expected a number of steps from 1"),
        (["--timeout", "-1"], "expected a number of seconds"),
    ],
)
def test_invalid_values(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    """An invalid value is reported with what is expected."""
    with pytest.raises(SystemExit) as caught:
        parse("p.yml", *words)
    assert caught.value.code == 2
    assert message in capsys.readouterr().err


def test_used_options() -> None:
    """The options in front of a script are known, so that the command can reject them."""
    options = parser.parser().parse_args(["run", "--check", "--skip", "a", "train.py", "--jobs", "x"])
    assert pipeline_options.used_options(options) == ["--check", "--skip"]
    assert options.args == ["--jobs", "x"]


def test_files() -> None:
    """Files of Azure ML's format have a suffix of YAML or JSON, which is YAML."""
    assert [pipeline_options.is_definition(name) for name in ("a.yml", "A.YAML", "a.json", "a.py")] == [
        True,
        True,
        True,
        False,
    ]
