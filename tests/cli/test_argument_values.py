"""The values of options."""

from __future__ import annotations

import pytest

from amllog.cli.parser import parser


@pytest.mark.parametrize("seconds", ["soon", "0", "-1", "nan", "86401"])
def test_invalid_seconds(seconds: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A number of seconds is above 0 and up to 86400."""
    with pytest.raises(SystemExit):
        parser().parse_args(["tail", "--every", seconds])
    assert f"'{seconds}': expected a number of seconds" in capsys.readouterr().err
