"""Build the interpreters for bench/example_files.py: `python bench/example_environments.py FOLDER`.

The examples were written for packages of several years, so each group of files has a virtual environment below FOLDER.
Existing ones are kept. It needs uv, the versions of Python named in GROUPS, and about 3 GB. Spark needs Java, and
6c_r_iris needs R with packages of CRAN.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

# The first one is for all files whose Supply (bench/example_data.py) names no group.
GROUPS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "main": (
        "3.10",
        (
            "pandas==1.5.3", "numpy<2", "scikit-learn==1.3.2", "mlflow==2.18.0", "mltable==1.6.3", "matplotlib",
            "xgboost==1.7.6", "pyjokes", "pillow", "setuptools<75", "typing_extensions", "azureml-core",
        ),
    ),
    "heart": (
        "3.8",
        ("mlflow", "scikit-learn==1.1.2", "xgboost==1.4.2", "pandas", "cloudpickle==1.6.0", "psutil", "setuptools<70"),
    ),
    "sklearn-0.20": ("3.7", ("scikit-learn~=0.20.0", "cloudpickle==1.1.1", "mlflow", "mltable", "pandas")),
    "sklearn-0.23": (
        "3.8",
        ("scikit-learn==0.23.2", "cloudpickle==2.2.1", "mlflow", "mltable", "pandas<2", "numpy<1.24", "pillow"),
    ),
    "spark": ("3.11", ("pyspark==3.5.9", "pandas<2.3", "numpy<2", "pyarrow<18", "setuptools<75")),
    "tensorflow": (
        "3.11",
        ("tensorflow-cpu==2.16.1", "protobuf<5", "idx2numpy", "pillow", "mlflow==2.18.0", "mltable", "setuptools<75"),
    ),
}  # fmt: skip


def build(folder: Path, version: str, packages: tuple[str, ...]) -> None:
    """Build one virtual environment. It has pip, which some examples run."""
    uv = shutil.which("uv") or str(Path(sys.executable).parent / "uv")
    subprocess.run([uv, "venv", "--quiet", "--seed", "--clear", "--python", version, str(folder)], check=True)
    python = str(folder / "bin" / "python")
    subprocess.run(
        [uv, "pip", "install", "--quiet", "--compile-bytecode", "--python", python, *packages], check=True
    )
    (folder / "complete").touch()


def main() -> int:
    """Build those that are not there, and print the command that uses them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder.absolute()
    for name, (version, packages) in GROUPS.items():
        if not (folder / name / "complete").exists():
            print(f"{name}: Python {version} with {' '.join(packages)}", flush=True)
            build(folder / name, version, packages)
    print(f"python bench/example_files.py DIRECTORY --environments {folder}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
