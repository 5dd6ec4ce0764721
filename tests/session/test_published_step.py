"""The step of a process as its worker processes get it."""

from __future__ import annotations

import dataclasses
import json
import pickle
import sys
from multiprocessing import spawn
from pathlib import Path

from hypothesis import given, strategies as st

from amllog.config.parsers import parse_connection_string
from amllog.config.settings import Settings
from amllog.context.detector import RunDetector
from amllog.context.identity import Identity
from amllog.session import published_step
from amllog.session.published_step import Invitation, Publication, PublishedStep, read_step, write_step

CONNECTION = "InstrumentationKey=00000000-0000-0000-0000-0000000010ca;IngestionEndpoint=https://a.invalid"
IDENTITY = RunDetector({}, lambda message: None).from_environment(Settings())
STEP = PublishedStep({"level": "DEBUG"}, IDENTITY, Path("/j"), "12.345", 1.5)
FIELDS = {
    "str": st.text(), "bool": st.booleans(), "int | None": st.none() | st.integers(0),
}  # fmt: skip
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


def invite(text: str) -> str:
    """Return what a worker is invited with."""
    return f"invited with {text}"


@given(
    st.builds(
        PublishedStep,
        st.dictionaries(st.text(), JSON.filter(lambda value: value is not None), max_size=3),
        st.builds(Identity, **{one.name: FIELDS[str(one.type)] for one in dataclasses.fields(Identity)}),
        st.text("ab/ü\udc80", min_size=1).map(Path),
        st.text(),
        st.floats(0, 1e10),
    )
)
def test_any_step(step: PublishedStep) -> None:
    """A private string contains everything, in ASCII."""
    text = write_step(step, private=True)
    assert text.isascii()
    assert read_step(text) == step


@given(
    st.text()
    | JSON.map(json.dumps)
    | st.dictionaries(st.sampled_from(list(json.loads(write_step(STEP)))), JSON).map(json.dumps)
)
def test_string_of_another_program(text: str) -> None:
    """A string that is no step, or one of another version, is ignored."""
    assert read_step(text) is None


def test_values_of_another_type() -> None:
    """A step with a field of another type is ignored."""
    known = json.loads(write_step(STEP))
    for change in ({"step_id": 3}, {"rank": "0"}, {"in_job": "yes"}, {"has_retry": 1}, {"unknown": ""}):
        assert read_step(json.dumps({**known, "identity": {**known["identity"], **change}})) is None
    assert read_step(json.dumps({**known, "made": float("nan")})) is None
    assert read_step(json.dumps(known)) == STEP


def test_string_without_secrets() -> None:
    """The public string has the arguments that JSON can express, and no secret. The private one has the secrets."""
    arguments: dict[str, object] = {
        "level": "DEBUG",
        "connection_string": CONNECTION,
        "dimensions": {"team": "nlp"},
        "redact": ["password: hunter22"],
        "directory": Path("elsewhere"),
    }
    identity = dataclasses.replace(IDENTITY, build_url="https://me:hunter22@build.invalid")
    step = PublishedStep(arguments, identity, Path("/j"), "12.345", 1.5)
    public, private = read_step(write_step(step)), read_step(write_step(step, private=True))
    assert public is not None and private is not None
    assert public.arguments == {"level": "DEBUG", "dimensions": {"team": "nlp"}}
    assert (public.identity, private.identity) == (IDENTITY, identity)
    assert private.arguments == {name: value for name, value in arguments.items() if name != "directory"}
    assert "hunter22" not in write_step(step) and "10ca" not in write_step(step)


def test_long_arguments() -> None:
    """An argument that is too long for the environment is left out with a notice. The connection string is added."""
    settings = Settings(connection_string=parse_connection_string(CONNECTION))
    arguments: dict[str, object] = {"level": "DEBUG", "dimensions": {"long": "x" * 100_000}, "redact": {1}}
    notices: list[str] = []
    passed = published_step.arguments_for_workers(arguments, settings, None, notices.append)
    assert passed == {"level": "DEBUG", "connection_string": CONNECTION}
    assert [notice.split(" is too long")[0] for notice in notices] == ["setup(dimensions=…)"]
    with_credential = published_step.arguments_for_workers({}, settings, object(), notices.append)
    assert with_credential == {}


def test_publication() -> None:
    """A step is in the variable until it is withdrawn. The variable of a worker stays."""
    environ: dict[str, str] = {}
    own, of_worker = Publication(environ, invite), Publication(environ, invite)
    own.publish(STEP)
    assert (read_step(environ["AMLLOG_WORKERS"]), own.text) == (STEP, environ["AMLLOG_WORKERS"])
    of_worker.pass_on(STEP)
    of_worker.withdraw()
    assert (list(environ), of_worker.text) == (["AMLLOG_WORKERS"], "")
    own.withdraw()
    assert (environ, own.text) == ({}, "")


def test_invitation() -> None:
    """An invitation calls its function when it is unpickled, unless workers run another interpreter."""
    invitation = pickle.dumps(Invitation("a step", invite))
    assert pickle.loads(invitation) == "invited with a step"
    usual = spawn.get_executable()
    try:
        spawn.set_executable(sys.executable + "-of-others")
        assert pickle.loads(pickle.dumps(Invitation("a step", invite))) == "a step"
    finally:
        spawn.set_executable(usual)
