"""Notices on the driver log."""

from __future__ import annotations

import logging

import pytest

from amllog.config.settings import Settings
from amllog.exporters.notices import Notices


def test_notice_is_printed_once(capsys: pytest.CaptureFixture[str]) -> None:
    """A notice is printed once, and only if the level of the driver log allows it."""
    notices = Notices(lambda: Settings(driver_level=logging.INFO), {})
    notices.print("hello")
    notices.print("hello")
    notices.print("quiet", logging.DEBUG)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1 and lines[0].endswith("INFO     amllog: hello")
