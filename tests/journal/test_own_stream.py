"""A stream whose descriptor the script may close."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from amllog.journal import artifact_copies

NAME = "artifacts/0123456789ab-model.txt"


@pytest.mark.parametrize("number_is_used", [False, True])
def test_a_descriptor_that_the_script_has_closed(tmp_path: Path, number_is_used: bool) -> None:
    """After the script has closed the descriptor, reads fail, and a file of the script with the number is untouched."""
    artifact_copies.write_copy(tmp_path, NAME, [b"content"])
    (tmp_path / "mine").write_bytes(b"secret")
    with artifact_copies.open_copy([tmp_path], NAME) as copy:
        number = copy.stream.fileno()
        mine = os.open(tmp_path / "mine", os.O_RDONLY)
        if number_is_used:
            os.dup2(mine, number)
        else:
            os.close(number)
        for use in (copy.stream.read, copy.verify, lambda: copy.stream.seek(3)):
            with pytest.raises(OSError, match="Bad file descriptor"):
                use()
    if number_is_used:
        assert os.read(number, 10) == b"secret"
        os.close(number)
    os.close(mine)
