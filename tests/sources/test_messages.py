"""Messages: any object as message, argument, key or value makes one line that the service accepts."""

from __future__ import annotations

import datetime
import decimal
import enum
import json
import logging
import math
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import numpy
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

import amllog
from amllog.local.app_insights.validation import validate_envelope
from amllog.session import api


class Hostile:
    """Raises in every special method."""

    def __init__(self, error: type[BaseException] = RuntimeError) -> None:
        self.error = error

    def _fail(self, *args: object) -> Any:
        raise self.error("no")

    __str__ = __repr__ = __len__ = __iter__ = __bool__ = __float__ = __int__ = __index__ = __format__ = _fail
    __getattr__ = __getitem__ = __call__ = __enter__ = _fail


class HostileMapping(Mapping):  # type: ignore[type-arg]  # of anything
    """A mapping that raises when it is read."""

    def __getitem__(self, key: object) -> object:
        raise KeyError(key)

    def __iter__(self) -> Iterator[object]:
        return iter(["a", "b"])

    def __len__(self) -> int:
        return 2


class Liar:
    """Raises when its class is read."""

    @property
    def __class__(self) -> Any:
        raise RuntimeError("no")


class Endless:
    """Uses its string to make its string."""

    def __str__(self) -> str:
        return f"<{self}>"

    __repr__ = __str__


class NoText:
    """Returns a number as its string."""

    def __str__(self) -> Any:
        return 7  # noqa: PLE0307  # the subject of the test

    __repr__ = __str__


class OddItem:
    """Looks like a numpy scalar that contains itself."""

    ndim, size = 0, 1

    def item(self) -> object:
        return self


class Text(str):  # noqa: SLOT000  # scripts define it like this
    """A string class whose methods raise."""

    def __str__(self) -> str:
        raise RuntimeError("no")

    __repr__ = __str__


class Colour(enum.Enum):
    """An enum."""

    RED = "red"
    BLUE = 2


def chain(length: int, *, notes: object = None) -> BaseException:
    """Return a chain of exceptions."""
    error: BaseException = ValueError("first")
    for number in range(length):
        try:
            raise error
        except BaseException as before:
            error = KeyError(f"{number} \udc80 {'x' * 300}")
            error.__cause__ = before
    if notes is not None:
        error.__notes__ = notes  # type: ignore[attr-defined]  # of Python 3.11
    return error


def cycle() -> BaseException:
    """Return an exception that is in its own chain."""
    first, second = ValueError("first"), ValueError("second")
    first.__cause__, second.__context__ = second, first
    return first


def deep(depth: int) -> BaseException:
    """Return an exception with `depth` frames."""

    def down(remaining: int) -> None:
        if not remaining:
            raise ValueError("deep")
        down(remaining - 1)

    try:
        down(depth)
    except ValueError as error:
        return error
    raise AssertionError


class HostileError(Exception):
    """An exception whose string and notes raise."""

    def __str__(self) -> str:
        raise RuntimeError("no")

    __repr__ = __str__

    @property
    def __notes__(self) -> Any:
        raise RuntimeError("no")


def containers() -> list[object]:
    """Return containers that contain themselves, or too much."""
    knot: list[object] = [1]
    knot.append(knot)
    loop: dict[object, object] = {}
    loop["self"] = loop
    nested: object = "bottom"
    for _ in range(500):
        nested = [nested]
    wide = {f"key {number}": "v" * 50 for number in range(5_000)}
    huge = "x" * 1_000_000
    return [
        knot,
        loop,
        nested,
        wide,
        [huge] * 20,
        {huge: huge},
        [(1, 2)] * 5_000,
        {(1, 2): {3}, None: b"\xff"},
        {huge[:100_000]},
    ]


KEY = "00000000-0000-0000-0000-0000000010ca"
HARMLESS_TO_HYPOTHESIS = [
    Hostile,
    HostileMapping,
    Endless,
    NoText,
    OddItem,
    HostileError,
    cycle,
    lambda: Colour.RED,
]
ODD: list[Callable[[], object]] = [
    Hostile,
    lambda: Hostile(RecursionError),
    lambda: Hostile(MemoryError),
    HostileMapping,
    Liar,
    Endless,
    NoText,
    OddItem,
    lambda: Text("own"),
    HostileError,
    cycle,
    lambda: chain(30),
    lambda: chain(3, notes=["n" * 100_000, 7, Hostile()]),
    lambda: chain(1, notes="no list"),
    lambda: deep(500),
    lambda: ValueError(*["x" * 100_000] * 3),
    *[(lambda value=value: value) for value in containers()],  # type: ignore[misc]  # a default as a closure
    lambda: "x" * 10_000_000,
    lambda: "password=" + "s" * 10_000_000,
    lambda: "%" + "0" * 10_000_000,
    lambda: "eyJ-" * 20_000,
    lambda: "\udc80" * 40_000,
    lambda: "\U0001f600" * 40_000,
    lambda: "\0" * 40_000,
    lambda: b"\xff\0" * 40_000,
    lambda: 10**10_000,
    lambda: -(10**400),
    lambda: math.nan,
    lambda: math.inf,
    lambda: decimal.Decimal("NaN"),
    lambda: datetime.datetime.max.replace(tzinfo=datetime.timezone.utc),
    lambda: Colour.RED,
    lambda: PurePosixPath("/a/b"),
    lambda: numpy.float32(0.5),
    lambda: numpy.arange(100_000),
    lambda: numpy.array(None),
    lambda: object,
    lambda: (letter for letter in "ab"),
    lambda: lambda: None,
    lambda: memoryview(b"ab"),
    lambda: range(10**9),
    lambda: complex(1, 2),
]

scalars = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.decimals()
    | st.datetimes() | st.complex_numbers() | st.text(st.characters(categories=["Cs", "Cc", "Co"]), max_size=20)
    | st.uuids() | st.timedeltas() | st.sampled_from(HARMLESS_TO_HYPOTHESIS).map(lambda make: make())
)  # fmt: skip
keys = st.text() | st.integers() | st.none() | st.tuples(st.text(), st.integers()) | st.binary() | st.floats()
anything = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4),
    max_leaves=8,
)


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Return `start`, which sets amllog up, and `kept`, which returns the new lines of the journal."""
    directory = tmp_path_factory.mktemp("journal")
    seen: Counter[Path] = Counter()

    def start(**more: Any) -> None:
        amllog.setup(
            directory=directory,
            driver_format="json",
            capture="none",
            connection_string=KEY,
            exporter="none",
            **more,
        )

    def kept() -> list[bytes]:
        lines = []
        for file in sorted(directory.glob("*.jsonl")):
            new = file.read_bytes()[seen[file] :]
            seen[file] += len(new)
            lines += new.splitlines(keepends=True)
        return lines

    return type("Log", (), {"start": staticmethod(start), "kept": staticmethod(kept)})


def check(log: Any, count: int = 1) -> list[dict[str, Any]]:
    """Return the new envelopes. Their number is that of the calls, and the strict service accepts each one."""
    lines = log.kept()
    assert len(lines) == count
    now = datetime.datetime.now(datetime.timezone.utc)
    for line in lines:
        assert line.endswith(b"}\n") and len(line) <= 65_536
        assert validate_envelope(json.loads(line), len(line), now) is None
    assert api.session().recorder.emitter.refused.total() == 0
    return [json.loads(line) for line in lines]


ready = settings(
    max_examples=100,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.fixture(autouse=True)
def _started(log: Any, capsys: pytest.CaptureFixture[str]) -> None:
    log.start()
    log.kept()


@pytest.mark.parametrize("make", ODD)
def test_odd_objects(log: Any, make: Callable[[], object]) -> None:
    """Objects that raise, recurse or have no end make one line per call in bounded time, without raising."""
    logger, odd, began = amllog.get_logger("odd"), make(), time.thread_time()
    key = odd if issubclass(type(odd), (str, bytes, int, float)) else type(odd).__name__
    error = odd if issubclass(type(odd), BaseException) else ValueError(odd)
    logger.info(odd)
    logger.info("%s and %r", odd, odd)
    logger.info("m", value=odd, other="kept")
    logger.info("m", {key: "v", "other": "kept"})  # noqa: PLE1205  # the guide's form
    logger.error("m", exc_info=error, other="kept")
    fields = {"msg": odd, "args": (odd,), "custom_dimensions": {"a": odd}, "b": odd, "levelno": 20}
    api.session().recorder.messages.stdlib_record(logging.makeLogRecord(fields), shown=True)
    logger.bind(bound=odd).metric("m", 1)
    logger.event(odd, value=odd)  # type: ignore[arg-type]  # a caller without a type checker
    with logger.span(odd, value=odd):  # type: ignore[arg-type]  # a caller without a type checker
        pass
    assert time.thread_time() - began < 60
    envelopes = check(log, 9)
    assert [item["data"]["baseData"]["properties"].get("other") for item in envelopes[2:5]] == ["kept"] * 3


@ready
@given(
    message=anything,
    args=st.lists(anything, max_size=3),
    values=st.dictionaries(st.text(), anything, max_size=4),
)
def test_any_call(log: Any, message: object, args: list[object], values: dict[str, Any]) -> None:
    """Any message, arguments and dimensions of a log call make one line within all limits."""
    amllog.get_logger("any").warning(message, *args, **values)
    check(log)


@ready
@given(
    message=anything, args=st.lists(anything, max_size=3), extra=st.dictionaries(keys, anything, max_size=4)
)
def test_any_record(log: Any, message: object, args: list[object], extra: dict[Any, object]) -> None:
    """Any message, arguments and `extra` of a stdlib record make one line within all limits."""
    entry = logging.LogRecord("any", 30, __file__, 1, "", (), None)
    entry.msg, entry.args = message, tuple(args)  # type: ignore[assignment]  # a caller without a type checker
    entry.__dict__["custom_dimensions"] = extra
    api.session().recorder.messages.stdlib_record(entry, shown=False)
    check(log)


@settings(ready, max_examples=10)
@given(st.dictionaries(st.text(min_size=1, max_size=200), st.text(), min_size=200, max_size=400))
def test_too_many_dimensions(log: Any, dimensions: dict[str, str]) -> None:
    """Dimensions that do not fit into an item are omitted, except the record's id and run."""
    amllog.get_logger("many").info("m", dimensions)
    amllog.get_logger("many").info("m", {key: value + "v" * 500 for key, value in dimensions.items()})
    for envelope in check(log, 2):
        properties = envelope["data"]["baseData"]["properties"]
        assert {"record_id", "step_id", "parent_run_id"} <= set(properties)


def test_omissions_are_marked(log: Any) -> None:
    """A record has the number of omitted dimensions, and truncated strings have their original length."""
    logger = amllog.get_logger("many")
    logger.info("m", {f"key {number}": "v" * 150 for number in range(600)})  # noqa: PLE1205  # the guide's form
    logger.info("x" * 40_000, long="y" * 9_000, **{"k" * 200: 1})
    many, long = check(log, 2)
    properties = many["data"]["baseData"]["properties"]
    assert int(properties["dimensions_left_out"]) + sum(key.startswith("key ") for key in properties) == 600
    assert long["data"]["baseData"]["message"].endswith("… [cut from 40000 characters]")
    assert long["data"]["baseData"]["properties"]["long"].endswith("… [cut from 9000 characters]")
    assert any(
        key.startswith("kkk") and "cut from 200" in key for key in long["data"]["baseData"]["properties"]
    )


def test_long_chain_with_long_paths(log: Any) -> None:
    """Ten exceptions of fifty frames each, in files with long names, fit into an item."""
    code = compile(
        "def down(n):\n    if n: down(n - 1)\n    else: raise ValueError('bottom')", "/long" * 400, "exec"
    )
    scope: dict[str, Any] = {}
    exec(code, scope)
    error: BaseException | None = None
    for _ in range(12):
        try:
            try:
                scope["down"](60)
            except ValueError as raised:
                raised.__cause__ = error
                raise
        except ValueError as raised:
            error = raised
    amllog.get_logger("chain").error("failed", exc_info=error)
    (envelope,) = check(log)
    assert len(envelope["data"]["baseData"]["exceptions"]) == 10


def test_huge_strings_are_not_read_to_their_end(log: Any) -> None:
    """A string of megabytes is truncated before the search for secrets, also one that slows a search down."""
    for evil in (
        "eyJ-" * 3_000_000,
        "password " * 1_000_000,
        "://a" * 3_000_000,
        "-----BEGIN PRIVATE KEY-----" * 300_000,
    ):
        began = time.thread_time()
        amllog.get_logger("huge").info(evil, value=evil)
        assert time.thread_time() - began < 200
    check(log, 4)


def test_times(log: Any) -> None:
    """Any time of a stdlib record makes a line with the fixed format of the time."""
    recorder = api.session().recorder
    for created in (-1.5, 0.0, 1e18, 253402300800.0):
        recorder.messages.stdlib_record(
            logging.makeLogRecord({"msg": "m", "created": created, "levelno": 20}), shown=True
        )
    lines = log.kept()
    assert [len(json.loads(line)["time"]) for line in lines] == [27] * 4
    assert all(line.startswith(b'{"time":"') and line[36:38] == b'",' for line in lines)
    assert recorder.emitter.refused.total() == 0


def test_layers(log: Any) -> None:
    """Dimensions of the call override those of `bind`, `bound` and setup(), in this order."""
    log.start(dimensions=dict.fromkeys("abcd", "setup"))
    with amllog.bound(b="bound", c="bound", d="bound"):
        amllog.get_logger("l").bind(c="bind", d="bind").info("m", d="call")
    properties = json.loads(log.kept()[-1])["data"]["baseData"]["properties"]
    assert {key: properties[key] for key in "abcd"} == {"a": "setup", "b": "bound", "c": "bind", "d": "call"}


def test_extra_of_a_log_call(log: Any) -> None:
    """`extra` of a log call adds dimensions, as for stdlib loggers."""
    amllog.get_logger("l").info("m", extra={"custom_dimensions": {"a": 1}, "b": 2}, c=3)
    amllog.get_logger("l").info("m", extra="text")
    first, second = check(log, 2)
    properties = first["data"]["baseData"]["properties"]
    assert {key: properties.get(key) for key in "abc"} == {"a": "1", "b": "2", "c": "3"}
    assert second["data"]["baseData"]["properties"]["extra"] == "text"


def test_a_dict_as_the_message(log: Any) -> None:
    """A record whose message is a dict has the message in it, and its other values with `extra` as dimensions."""
    given = {"msg": {"message": "loaded", "rows": 3}, "levelno": 20, "levelname": "INFO", "user": "me"}
    api.session().recorder.messages.stdlib_record(logging.makeLogRecord(given), shown=True)
    (record,) = check(log)
    data = record["data"]["baseData"]
    assert (data["message"], data["properties"]["rows"], data["properties"]["user"]) == ("loaded", "3", "me")
