"""Settings: argument before environment before default, and all problems in one error."""

from __future__ import annotations

import contextlib
import functools
import inspect
import logging
import warnings
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies as st

import amllog
from amllog.config.arguments import Arguments
from amllog.config.parsers import Address, ConnectionString
from amllog.config.settings import Settings, find_secrets, inspect_settings, resolve_settings as resolve
from amllog.config.settings_table import BY_NAME, SETTINGS
from amllog.errors import ConfigError

KEY = "00000000-0000-0000-0000-0000000010ca"
# Outside a job.
resolve_settings = functools.partial(resolve, in_job=False)
# name → (value in the environment, its parsed value, value of the argument, its parsed value)
GOOD: dict[str, tuple[str, Any, str, Any]] = {
    "connection_string": (KEY, ConnectionString(KEY, "https://dc.services.visualstudio.com"),
                          f"InstrumentationKey={KEY};IngestionEndpoint=https://x.invalid/;",
                          ConnectionString(KEY, "https://x.invalid")),
    "exporter": ("none", "none", "Opencensus", "opencensus"),
    "metrics": ("AZUREML", "azureml", "none", "none"),
    "metrics_ranks": ("all", "all", "0", "0"),
    "level": ("debug", 10, "ERROR", 40),
    "driver_level": ("15", 15, "WARN", 30),
    "insights_level": ("critical", 50, "NOTSET", 0),
    "driver_format": ("JSON", "json", "plain", "plain"),
    "directory": ("a/b", Path("a/b"), "/c", Path("/c")),
    "run_type": ("training", "training", "scoring", "scoring"),
    "build_url": ("https://a.invalid", "https://a.invalid", "b", "b"),
    "build_version": ("1", "1", "2", "2"),
    "step_name": ("a", "a", "b", "b"),
    "experiment_name": ("a", "a", "b", "b"),
    "dimensions": ("team=nlp, owner = me,", {"team": "nlp", "owner": "me"}, "x=1=2", {"x": "1=2"}),
    "capture": ("none", (), "Logging, prints", ("logging", "prints")),
    "redact": ("a.b, c", ("a.b", "c"), "d", ("d",)),
    "grace_seconds": ("2.5", 2.5, "0", 0.0),
    "journal_max_bytes": ("500 MB", 500 * 1024**2, "2GiB", 2 * 1024**3),
    "debug": ("1", True, False, False),
    "debug_address": ("0.0.0.0:80", Address("0.0.0.0", 80), "[::1]:5678", Address("::1", 5678)),
    "debug_seconds": ("60", 60.0, "0", 0.0),
    "strict": ("False", False, True, True),
}  # fmt: skip
UNKNOWN_TYPE = object()
INVALID: dict[str, list[Any]] = {
    "connection_string": ["x", "InstrumentationKey=1", ";", "=", f"InstrumentationKey={KEY};IngestionEndpoint=ftp://x",
                          f"InstrumentationKey={KEY};Authorization=aad", f"InstrumentationKey={KEY};rest", 7, b"x",
                          "x" * 5000, KEY[:-1]],
    "exporter": ["azure", 7, True, UNKNOWN_TYPE, ["none"]],
    "metrics": ["wandb", None.__class__, 1.5],
    "metrics_ranks": ["1", -1, False],
    "level": ["LOUD", -1, "-5", 1.5, True, [], "٣x"],
    "driver_level": ["LOUD"],
    "insights_level": ["Level 5", {}],
    "driver_format": ["xml", 0],
    "directory": ["a\0b", "", 7, "~nobody-of-this-name/x", b"x"],
    "run_type": [7, ["a"], b"x"],
    "build_url": [7], "build_version": [1.0], "step_name": [object()], "experiment_name": [()],
    "dimensions": ["team", "=x", ",=", {7: 1}, {"": 1}, 7, ["a=b"]],
    "capture": ["stdout", "logging,none", 7, {"logging": 1}, b"logging"],
    "redact": ["(", "a{99999999999999}", [7], "(" * 3000, 7],
    "grace_seconds": ["soon", -1, 3601, "nan", "inf", True, [], "1e400", 10**400],
    "journal_max_bytes": ["big", "1 KB", -5, "5 XB", True, "9" * 400, "9" * 400 + " TB", 1000, [2**30], float("nan")],
    "debug": ["yes", 2, 1.0, [True], b"1"],
    "debug_address": ["here", "host:", ":5678", "1:65536", "-1", "a b:1", "::1:5678", "٣:٣", True, 1.5, ("h", 1)],
    "debug_seconds": ["soon", -1, 3601, "nan", True],
    "strict": ["perhaps", 1, 0.0, b"true", [True]],
}  # fmt: skip


def test_type_checkers_know_every_setting() -> None:
    """The keyword arguments for type checkers are the settings."""
    assert list(Arguments.__annotations__) == list(BY_NAME)
    assert inspect.signature(amllog.setup).parameters["settings"].annotation == "Unpack[Arguments]"


@pytest.mark.parametrize("name", GOOD)
def test_precedence(name: str) -> None:
    """An argument wins over the environment, which wins over the default. Empty and blank values count as not set."""
    in_environment, from_environment, argument, from_argument = GOOD[name]
    for variable in BY_NAME[name].variables:
        environ = {variable: f" {in_environment} "}
        assert getattr(resolve_settings({}, environ), name) == from_environment
        assert getattr(resolve_settings({name: argument}, environ), name) == from_argument
        assert getattr(resolve_settings({name: None}, environ), name) == from_environment
        assert getattr(resolve_settings({}, {variable: "  "}), name) == getattr(Settings(), name)


def test_every_setting_is_tried() -> None:
    """The tests have valid and invalid values for each setting."""
    assert set(GOOD) == set(INVALID) == set(BY_NAME) == {setting.name for setting in SETTINGS}


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, values in INVALID.items() for value in values]
)
def test_invalid_values(name: str, value: object) -> None:
    """An invalid value of any type is a ConfigError with the setting, the value and the allowed values."""
    with pytest.raises(ConfigError) as raised:
        resolve_settings({name: value}, {})
    (problem,) = raised.value.problems
    assert problem.variable == f"setup({name}=…)"
    assert BY_NAME[name].allowed in str(raised.value)
    assert len(str(raised.value)) < 2000
    if isinstance(value, str) and value.strip():
        with pytest.raises(ConfigError) as raised:
            resolve_settings({}, {BY_NAME[name].variables[0]: value})
        assert raised.value.problems[0].variable == BY_NAME[name].variables[0]


def test_one_error_has_all_problems() -> None:
    """One error lists all problems, and suggests the nearest name for an unknown one."""
    with pytest.raises(ConfigError) as raised:
        resolve_settings(
            {"levle": "INFO", "xyz": 1, "grace_seconds": -1},
            {"AMLLOG_LEVEL": "LOUD", "AMLLOG_METRICS": "wandb"},
        )
    message = str(raised.value)
    assert len(raised.value.problems) == 5 and message.startswith("5 settings are invalid:")
    for part in ("setup(levle=…)", "did you mean level", "setup(xyz=…)", "there are connection_string", "'LOUD'",
                 "AMLLOG_METRICS = 'wandb'", "setup(grace_seconds=…) = -1"):  # fmt: skip
        assert part in message, part


def test_no_secret_in_the_error() -> None:
    """An invalid value is shown without the secrets in it."""

    class Hostile:
        def __repr__(self) -> str:
            raise RuntimeError("no")

    with pytest.raises(ConfigError) as raised:
        resolve_settings(
            {"conection_string": f"InstrumentationKey={KEY};x", "unknown": Hostile(), "level": Hostile()},
            {"APPLICATIONINSIGHTS_CONNECTION_STRING": f"InstrumentationKey={KEY};AccountKey=abcdefgh;y"},
        )
    assert KEY not in str(raised.value) and "abcdefgh" not in str(raised.value)


def test_a_setup_that_raises_changes_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """A setup() that raises creates no handlers, files or output."""
    before = logging.getLogger().handlers[:]
    with pytest.raises(ConfigError):
        amllog.setup(level="LOUD")
    with pytest.raises(ConfigError):
        amllog.setup(unknown=1)
    assert logging.getLogger().handlers == before
    assert not Path(".amllog").exists()
    assert capsys.readouterr().out == ""


def test_levels_default_to_the_common_level() -> None:
    """The levels of the driver log and Application Insights default to `level`."""
    settings = resolve_settings({"level": 30}, {"AMLLOG_DRIVER_LEVEL": "DEBUG"})
    assert (settings.level, settings.driver_level, settings.insights_level) == (30, 10, 30)


def test_order_of_variables() -> None:
    """The current variable of the connection string wins over the two old ones."""
    names = BY_NAME["connection_string"].variables
    keys = [KEY.replace("0", str(number)) for number in range(3)]
    for first in range(3):
        target = resolve_settings({}, dict(zip(names[first:], keys[first:]))).connection_string
        assert target is not None and target.instrumentation_key == keys[first]


@given(st.text(), st.sampled_from(sorted(BY_NAME)))
def test_any_string(text: str, name: str) -> None:
    """Any string in any variable is accepted or raises ConfigError."""
    with contextlib.suppress(ConfigError):
        assert isinstance(resolve_settings({}, {BY_NAME[name].variables[0]: text}), Settings)


def test_secrets_of_the_environment() -> None:
    """Values of variables with the name of a secret are secrets, but paths, numbers and short values are not."""
    environ = {
        "AZUREML_RUN_TOKEN": "a-run-token", "MY_PASSWORD": "correct horse", "DB_PASSWORD_FILE": "/run/secrets/db",
        "PWD": "/home/user/project", "API_KEY": "short",
        "TOKEN_COUNT": "12345678901", "AZUREML_RUN_TOKEN_EXPIRY": "1700000000",
        "PATH": "/usr/bin:/bin",
    }  # fmt: skip
    assert sorted(find_secrets(environ)) == ["a-run-token", "correct horse"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (name, value)
        for name, values in INVALID.items()
        for value in values
        if isinstance(value, str) and value.strip()
    ],
)
def test_who_may_stop_a_step(name: str, value: str) -> None:
    """In a job, or with strict=False, an invalid variable is a problem and has its default. An argument raises."""
    row = BY_NAME[name]
    for arguments, in_job in (({}, True), ({"strict": False}, False), ({"strict": "auto"}, True)):
        if name == "strict" and arguments:  # the argument wins
            continue
        settings = resolve(arguments, {row.variables[0]: value}, in_job=in_job)
        (problem,) = settings.problems
        assert (problem.variable, settings.is_invalid(name), settings.strict) == (
            row.variables[0],
            True,
            False,
        )
        assert row.allowed in str(problem) and "\n" not in str(problem)
        if name != "redact":
            assert getattr(settings, name) == (False if name == "strict" else getattr(Settings(), name))
    for arguments, in_job in (
        ({"strict": True}, True),
        ({name: value}, True),
        ({name: value, "strict": False}, False),
    ):
        if name == "strict" and arguments != {name: value}:
            continue
        with pytest.raises(ConfigError) as raised:
            resolve(arguments, {row.variables[0]: value}, in_job=in_job)
        assert len(raised.value.problems) == 1


def test_one_error_has_the_problems_of_variables_too() -> None:
    """An invalid argument in a job raises with all problems, also those that would only be reported."""
    with pytest.raises(ConfigError) as raised:
        resolve({"level": "LOUD"}, {"AMLLOG_GRACE_SECONDS": "soon"}, in_job=True)
    assert [problem.variable for problem in raised.value.problems] == [
        "setup(level=…)",
        "AMLLOG_GRACE_SECONDS",
    ]


@pytest.mark.parametrize(
    ("name", "value", "used"),
    [
        ("redact", "patient(", ("patient",)),
        ("redact", "ssn, (name|city, [", ("ssn", "name", "city")),
        ("exporter", "Off", "none"),
        ("exporter", "azure", "auto"),
        ("metrics", "false", "none"),
        ("capture", "disabled", ()),
        ("capture", "stdout", Settings().capture),
    ],
)
def test_fallbacks(name: str, value: str, used: object) -> None:
    """What should be masked stays masked, and what should be off stays off, although the value is invalid."""
    settings = resolve({}, {BY_NAME[name].variables[0]: value}, in_job=True)
    assert getattr(settings, name) == used
    assert (f"({used!r} is used)" in str(settings.problems[0])) == (used != getattr(Settings(), name))


def test_all_problems_can_be_inspected() -> None:
    """The problems of all variables are known, whatever `strict` is."""
    environ = {"AMLLOG_LEVEL": "LOUD", "AMLLOG_STRICT": "perhaps", "AMLLOG_GRACE_SECONDS": "5"}
    settings = inspect_settings(environ)
    assert [problem.variable for problem in settings.problems] == ["AMLLOG_LEVEL", "AMLLOG_STRICT"]
    assert settings.grace_seconds == 5
    assert len(inspect_settings({**environ, "AMLLOG_STRICT": "true"}).problems) == 1


@given(st.dictionaries(st.sampled_from([name for row in SETTINGS for name in row.variables]), st.text()))
def test_any_environment_of_a_job(environ: dict[str, str]) -> None:
    """Any strings in the variables of a job give settings, unless they demand an error."""
    settings = resolve({"strict": False}, environ, in_job=True)
    assert all(str(problem) for problem in settings.problems)


def test_warnings_as_errors() -> None:
    """An expression that Python warns about is invalid if warnings are errors."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert resolve({}, {"AMLLOG_REDACT": "[[a]patient"}, in_job=True).redact == ("patient",)
