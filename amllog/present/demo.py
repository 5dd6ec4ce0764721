"""`amllog demo`: finds the example pipeline and runs it.

In: arguments for it. Out: its own output and exit code, or what to do where it is not installed.
"""

from __future__ import annotations

import subprocess
import sys
from argparse import Namespace
from pathlib import Path

from amllog.errors import UsageError
from amllog.present.packages import is_there

REPOSITORY = Path(__file__).resolve().parents[2]
EXAMPLE = Path("examples", "pipeline", "run.py")
MISSING = """the example pipeline is not here: it belongs to the repository, not to the installed package.
In a clone of the repository: make demo"""


def demo(options: Namespace) -> int:
    """Run the example of the clone that we stand in, or that amllog runs from."""
    found = [folder / EXAMPLE for folder in (Path.cwd(), REPOSITORY) if (folder / EXAMPLE).is_file()]
    if not found:
        raise UsageError(MISSING)
    needed = {"sklearn": "scikit-learn", "cryptography": "cryptography"}
    missing = [package for module, package in needed.items() if not is_there(module)]
    if missing:
        raise UsageError(f"the example needs {' and '.join(missing)}: pip install {' '.join(missing)}")
    return subprocess.run([sys.executable, str(found[0]), *options.args], check=False).returncode
