"""The logger that people hold: bound dimensions, calls at every level, and a life in other processes."""

from __future__ import annotations

import copy
import json
import logging
import pickle
from pathlib import Path
from typing import Any

import pytest

import amllog


@pytest.fixture
def said(tmp_path: Path) -> Any:
    """amllog set up at DEBUG; what was said since, as (level, message, dimensions)."""
    amllog.setup(directory=tmp_path / "j", level="DEBUG", driver_level="CRITICAL")

    def read() -> list[tuple[str, str, dict[str, str]]]:
        lines = [line for file in (tmp_path / "j").glob("*.jsonl") for line in file.open()]
        data = [json.loads(line)["data"]["baseData"] for line in lines]
        return [
            (one["properties"].get("level", ""), one.get("message", ""), one["properties"]) for one in data
        ]

    return read


def test_levels(said: Any) -> None:
    """Every method of logging's and structlog's loggers, at its level."""
    log = amllog.get_logger("x")
    for name in ("debug", "info", "msg", "warning", "warn", "error", "err", "critical", "fatal", "exception"):
        getattr(log, name)("%s called", name)
    log.log(25, "log called")
    levels = [
        "DEBUG",
        "INFO",
        "INFO",
        "WARNING",
        "WARNING",
        "ERROR",
        "ERROR",
        "CRITICAL",
        "CRITICAL",
        "ERROR",
        "Level 25",
    ]
    assert [level for level, _, _ in said()] == levels
    assert said()[0][1] == "debug called"


def test_place(said: Any) -> None:
    """A record tells where the call stands: of the method, not of ours."""
    log = amllog.get_logger("x")
    log.info("a")
    log.bind(b=1).log(20, "b")
    log.metric("m", 1)
    log.event("e")
    with log.span("s"):
        pass
    for _, _, properties in said():
        assert (properties["module"], properties["fileName"]) == ("test_logger", __file__)
        assert int(properties["lineNumber"]) > 40


def test_bind(said: Any) -> None:
    """bind adds, unbind and try_unbind take away, new begins anew; the one before stays as it was."""
    log = amllog.get_logger("x", a=1)
    bound = log.bind(b=2)
    bound.info("bound")
    log.info("before")
    bound.unbind("a").info("unbound")
    bound.try_unbind("zzz").info("same")
    bound.new(c=3).info("new")
    with pytest.raises(KeyError):
        log.unbind("zzz")
    found = {
        message: {key: properties[key] for key in "abc" if key in properties}
        for _, message, properties in said()
    }
    assert found == {"bound": {"a": "1", "b": "2"}, "before": {"a": "1"}, "unbound": {"b": "2"},
                     "same": {"a": "1", "b": "2"}, "new": {"c": "3"}}  # fmt: skip


def test_copies(said: Any) -> None:
    """A logger that was pickled or copied speaks on, with its name and what is bound to it."""
    log = amllog.get_logger("x", a=1).bind(b={"c": 2})
    for number, one in enumerate((pickle.loads(pickle.dumps(log)), copy.copy(log), copy.deepcopy(log))):
        one.info("%d", number)
        assert (one.name, repr(one)) == (log.name, repr(log))
    assert [(message, p["a"], p["b"], p["logger"]) for _, message, p in said()] == [
        (str(number), "1", '{"c": 2}', "x") for number in range(3)
    ]


def test_below_the_level(tmp_path: Path) -> None:
    """Below the level nothing is made, not even a text of the arguments."""
    log = amllog.setup(directory=tmp_path / "j", level="ERROR")

    class Expensive:
        def __str__(self) -> str:
            raise AssertionError("was turned into text")

    log.debug(Expensive())
    log.info("%s", Expensive(), value=Expensive())
    assert (log.isEnabledFor(logging.INFO), log.is_enabled_for(logging.ERROR)) == (False, True)
    assert amllog.status().accepted == 0


def test_names() -> None:
    """setup() gives the caller's logger; get_logger the one of a name."""
    assert amllog.setup().name == __name__
    assert (amllog.get_logger().name, amllog.get_logger("a.b").name) == ("__main__", "a.b")


@pytest.mark.parametrize(("name", "shown"), [(None, "root"), (5, "5"), (b"x", "x"), (len, str(len))])
def test_a_name_that_is_no_text(name: Any, shown: str, said: Any) -> None:
    """None is the root logger, as in `logging`. The text of any other object is the name."""
    log = amllog.get_logger(name)
    log.info("hello")
    assert log.name == shown
    assert [one[1] for one in said()] == ["hello"]


def test_metrics(said: Any) -> None:
    """Metrics take every kind of number, and nothing else, at once."""
    numpy = pytest.importorskip("numpy")
    log = amllog.get_logger("x")
    log.metrics({"a": 1, "b": numpy.float32(0.5), "c": True, "d": numpy.array([2])}, step=3, fold=1)
    for wrong in ("1", None, [1], 1j, numpy.array([1, 2]), object(), {"a": 1}):
        with pytest.raises(amllog.MetricError):
            log.metric("wrong", wrong)
    for name in ("", None, 7):
        with pytest.raises(amllog.MetricError):
            log.metric(name, 1)  # type: ignore[arg-type]  # what no checker stopped
    with pytest.raises(amllog.MetricError):
        log.metrics({"fine": 1, "wrong": "x"})
    for odd in (float("nan"), float("inf"), 10**400, numpy.float64("-inf")):
        log.metric("odd", odd)
    amllog.flush(0)
    assert len(said()) == 8
    assert [properties.get("step") for _, _, properties in said()[:4]] == ["3"] * 4
    assert [properties["value"] for _, _, properties in said()[4:]][::3] == ["NaN", "-Infinity"]


def test_spans(said: Any) -> None:
    """A span tells its outcome, lets errors through, works as a decorator, and says so when the process ends in it."""
    log = amllog.get_logger("x")
    with pytest.raises(ValueError), log.span("failing"):
        raise ValueError("x")

    @log.span("decorated")
    def work() -> int:
        return 7

    assert work() == 7
    with pytest.raises(SystemExit), log.span("ending"):
        raise SystemExit(0)
    assert amllog.status().accepted == 3


def test_before_setup() -> None:
    """Before setup() every call works, and log.run is there."""
    log = amllog.get_logger("early")
    log.info("m")
    log.metric("m", 1)
    log.event("e")
    with log.span("s"):
        pass
    assert log.run is not None
    assert amllog.status().accepted == 0
    assert amllog.flush(0).accepted == 0 and amllog.shutdown(0).accepted == 0
    assert amllog.identity().step_id
    amllog.setup()
    assert amllog.status().accepted == 4
