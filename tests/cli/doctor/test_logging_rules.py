"""What doctor finds in scripts without amllog, and that it raises no false alarm."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from amllog.cli.doctor.script_checks import check_script

ROOT = Path(__file__).parents[3]
BLOCK = re.compile(r"<!-- file: (\S+) -->\n```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def found(source: str, tmp_path: Path) -> list[str]:
    """Return the findings in a script."""
    path = tmp_path / "train.py"
    path.write_text(source)
    return [check.found for check in check_script(path) if check.state != "ok"]


def test_the_old_script_of_the_tutorial(tmp_path: Path) -> None:
    """Doctor finds what the tutorial shows: lost metrics, dimensions and exceptions, and the missing variable."""
    scripts = dict(BLOCK.findall((ROOT / "docs" / "tutorial.md").read_text("utf-8")))
    text = "\n".join(found(scripts["train.py"], tmp_path))
    for part in ("metrics wait in azureml's memory", "is not sent as dimensions", "uncaught exceptions do not reach",
                 "raises KeyError outside the job", "step= raises TypeError"):  # fmt: skip
        assert part in text, part


@pytest.mark.parametrize(
    "source",
    [
        "try:\n    import cudf_of_nobody\nexcept ImportError:\n    cudf_of_nobody = None\n",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import nothing_of_this_name\n",
        "import amllog\nfrom azureml.core import Run\nlog = amllog.setup()\nRun.get_context().log('a', 1, step=2)\n",
        "import logging\nlogging.getLogger('a').info('%(x)s', {'x': 1})\n",
        "from azureml.core import Run\nrun = Run.get_context()\nrun.log('a', 1)\nrun.flush()\n",
        "import math\nprint_log = math.log(2)\nrunner = object()\n",
    ],
)
def test_no_false_alarm(source: str, tmp_path: Path) -> None:
    """Optional imports, scripts with amllog and what works anyway are not reported."""
    assert found(source, tmp_path) == []


def test_a_key_in_the_source(tmp_path: Path) -> None:
    """A connection string in the source is reported, without its value."""
    key = "00000000-0000-0000-0000-0000000010ca"
    source = f"import amllog\namllog.setup(connection_string='InstrumentationKey={key}')\n"
    (fact,) = found(source, tmp_path)
    assert fact == "a connection string in the source"
