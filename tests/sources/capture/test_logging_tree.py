"""The handlers that a stdlib record reaches."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from amllog.sources.capture import logging_tree


@pytest.fixture
def logger() -> Iterator[logging.Logger]:
    """Return a logger below another one, without handlers."""
    parent, child = logging.getLogger("tree"), logging.getLogger("tree.child")
    yield child
    for each in (parent, child):
        each.handlers.clear()
        each.propagate = True


def test_handlers_up_to_the_root(logger: logging.Logger) -> None:
    """A record reaches the handlers of its logger and of the loggers above, until one does not propagate."""
    own, above = logging.NullHandler(), logging.NullHandler()
    logger.addHandler(own)
    logging.getLogger("tree").addHandler(above)
    assert logging_tree.handlers_of(logger)[:2] == (own, above)
    logger.propagate = False
    assert logging_tree.handlers_of(logger) == (own,)


def test_the_last_resort(logger: logging.Logger) -> None:
    """A record without a handler reaches logging's handler of last resort."""
    logger.propagate = False
    assert logging_tree.handlers_of(logger) == (logging.lastResort,)


def test_only_handler(logger: logging.Logger) -> None:
    """A handler is the only one if no logger on the way has another one."""
    handler = logging.NullHandler()
    logging.getLogger("tree").addHandler(handler)
    logging.getLogger("tree").propagate = False
    assert logging_tree.is_only_handler(handler, logger)
    logger.addHandler(logging.NullHandler())
    assert not logging_tree.is_only_handler(handler, logger)


def test_receivers() -> None:
    """A record is accepted by a handler whose level it has, but not by a NullHandler."""
    entry = logging.makeLogRecord({"levelno": logging.INFO})
    stream = logging.StreamHandler()
    assert logging_tree.has_receiver(entry, (logging.NullHandler(), stream))
    stream.setLevel(logging.ERROR)
    assert not logging_tree.has_receiver(entry, (logging.NullHandler(), stream))


@pytest.mark.parametrize(
    ("name", "transport"),
    [("urllib3", True), ("urllib3.connectionpool", True), ("urllib3x", False), ("train", False)],
)
def test_transport(name: str, transport: bool) -> None:
    """The loggers of libraries that send data, and those below them, belong to transport."""
    assert logging_tree.is_transport(name) is transport
