"""`amllog demo`: find the example pipeline and run it.

The example is in examples/pipeline of the repository. The wheel installs the same files into share/amllog/demo.
"""

from __future__ import annotations

import subprocess
import sys
from argparse import Namespace
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path

from amllog.cli.doctor.packages import is_installed
from amllog.errors import UsageError

CLONE = Path(__file__).resolve().parents[2] / "examples" / "pipeline" / "run.py"
INSTALLED = "share/amllog/demo/run.py"
NEEDED = {"sklearn": "scikit-learn", "cryptography": "cryptography"}
NOT_INSTALLED = (
    "the example pipeline is not installed here (the wheel of amllog contains it); "
    "in a clone of the repository: make demo"
)


def run(options: Namespace, environ: Mapping[str, str]) -> int:
    """Run the example in the current directory and return its exit code."""
    script = CLONE if CLONE.is_file() else _installed_script()
    if script is None:
        raise UsageError(NOT_INSTALLED)
    missing = [package for module, package in NEEDED.items() if not is_installed(module)]
    if missing:
        raise UsageError(f"the example needs {' and '.join(missing)}: pip install 'amllog[demo]'")
    return subprocess.run([sys.executable, str(script)], check=False).returncode


def _installed_script() -> Path | None:
    try:
        files = metadata.files("amllog") or []
    except metadata.PackageNotFoundError:  # a copy of the package that pip does not know
        return None
    scripts = (Path(str(file.locate())) for file in files if file.as_posix().endswith(INSTALLED))
    return next(scripts, None)
