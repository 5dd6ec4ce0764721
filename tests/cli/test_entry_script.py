"""Scripts whose functions another program calls."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from amllog.cli.entry_script import is_uncalled

ENTRY = "def init():\n    pass\n\ndef run(mini_batch):\n    return mini_batch\n"


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (ENTRY, True), (ENTRY.replace("def run", "async def run"), True), (ENTRY + "print('loaded')\n", True),
        (ENTRY + "if __name__ == '__main__':\n    init()\n", False), (ENTRY + "serve(run)\n", False),
        (ENTRY.replace("init()", "init(path)"), False), (ENTRY.replace("run(mini_batch)", "run()"), False),
        ("print(1)", False), ("(", False), ("class A:\n    def init(self): pass\n    def run(self, x): pass\n", False),
    ],
)  # fmt: skip
def test_uncalled(source: str, expected: bool) -> None:
    """Only a script that defines both and uses neither is an entry script."""
    assert is_uncalled(source.encode()) is expected


def test_the_warning(cli: Any, tmp_path: Path) -> None:
    """`amllog run` of an entry script succeeds with one WARNING."""
    (tmp_path / "score.py").write_text(ENTRY)
    ran = cli("run", "score.py")
    assert (ran.returncode, ran.stdout.count("nothing called them")) == (0, 1)
