"""`amllog demo`: finds the example pipeline and runs it.

In: nothing. Out: the example's own output and exit code, or what to do where it cannot run. The example stands in
examples/pipeline of the repository; the wheel puts the same files into share/amllog/demo.
"""

from __future__ import annotations

import subprocess
import sys
from importlib import metadata
from pathlib import Path

from amllog.cli.doctor.packages import is_there
from amllog.errors import UsageError

CLONE = Path(__file__).resolve().parents[2] / "examples" / "pipeline" / "run.py"
INSTALLED = "share/amllog/demo/run.py"
NEEDED = {"sklearn": "scikit-learn", "cryptography": "'amllog[local]'"}
NOWHERE = (
    "the example pipeline is not installed here (a wheel of amllog brings it); "
    "in a clone of the repository: make demo"
)


def demo() -> int:
    """Run the example in the present folder."""
    script = CLONE if CLONE.is_file() else _installed()
    if script is None:
        raise UsageError(NOWHERE)
    missing = [package for module, package in NEEDED.items() if not is_there(module)]
    if missing:
        raise UsageError(f"the example needs more packages: pip install {' '.join(missing)}")
    return subprocess.run([sys.executable, str(script)], check=False).returncode


def _installed() -> Path | None:
    try:
        files = metadata.files("amllog") or []
    except metadata.PackageNotFoundError:  # it runs from a copy
        return None
    found = (Path(str(file.locate())) for file in files if file.as_posix().endswith(INSTALLED))
    return next(found, None)
