"""Spark steps. The tests without pyspark run a script in the place of spark-submit, which prints its words."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from amllog.errors import UsageError
from amllog.local.execution.step_values import StepValues
from amllog.local.plan.planned_steps import PlannedStep, SourceLine, SparkTask, StepKind
from amllog.local.step_kinds.spark_step import command, skip_reason

SPARK = SparkTask("count.py", args="--in '${{inputs.x}}' --out ${{outputs.y}}")
STEP = PlannedStep("count", SourceLine(Path("job.yml"), 2), StepKind.SPARK, spark=SPARK)
PYTHON = Path(sys.executable)


def values_in(folder: Path) -> StepValues:
    """Return the values of a step whose working directory has a script and two more files."""
    for name in ("count.py", "a.zip", "b.jar"):
        (folder / name).touch()
    (folder / "y").mkdir(exist_ok=True)
    return StepValues({"x": "a b"}, {"y": str(folder / "y")}, folder, folder, PYTHON)


def environment(folder: Path, *, has_java: bool = True) -> dict[str, str]:
    """Return an environment whose pyspark, and perhaps whose java, is a script that prints its words."""
    package = folder / "site" / "pyspark"
    (package / "bin").mkdir(parents=True)
    (package / "__init__.py").touch()
    for path in (package / "bin" / "spark-submit", *([folder / "site" / "java"] if has_java else [])):
        path.write_text('#!/bin/sh\nprintf "%s\\n" "$SPARK_HOME" "$PYSPARK_PYTHON" "$@"\n')
        path.chmod(0o755)
    return {
        "PYTHONPATH": str(folder / "site"),
        "PATH": f"{folder / 'site'}:/usr/bin:/bin" if has_java else str(folder),
    }


def test_spark_submit_gets_the_master_the_settings_and_the_words(tmp_path: Path) -> None:
    """Spark runs with all cores of this machine on the loopback interface, with the settings of the file."""
    environ = environment(tmp_path)
    spark = replace(
        SPARK, conf={"spark.x": True, "spark.driver.memory": "1g"}, py_files=("a.zip",), jars=("b.jar",)
    )
    words = command(replace(STEP, spark=spark), values_in(tmp_path), environ)
    done = subprocess.run(words, env=environ, stdout=subprocess.PIPE, text=True, check=True)
    home, python, *rest = done.stdout.splitlines()
    assert (home, python) == (str(tmp_path / "site" / "pyspark"), sys.executable)
    assert rest[:6] == ["--master", "local[*]", "--conf", "spark.x=true", "--conf", "spark.driver.memory=1g"]
    assert "spark.driver.bindAddress=127.0.0.1" in rest
    end = ["--py-files", f"{tmp_path}/a.zip", "--jars", f"{tmp_path}/b.jar", f"{tmp_path}/count.py"]
    assert rest[-9:] == [*end, "--in", "a b", "--out", f"{tmp_path}/y"]


def test_an_empty_output_folder_is_left_to_spark(tmp_path: Path) -> None:
    """Spark creates its output folders, and rejects one that exists. A folder with files remains."""
    environ = environment(tmp_path)
    command(STEP, values_in(tmp_path), environ)
    assert not (tmp_path / "y").exists()
    values = values_in(tmp_path)
    (tmp_path / "y" / "kept").touch()
    command(STEP, values, environ)
    assert (tmp_path / "y" / "kept").exists()


def test_a_class_of_a_jar_is_an_entry(tmp_path: Path) -> None:
    """The first jar is the program."""
    step = replace(STEP, spark=replace(SPARK, entry="org.Main", jars=("b.jar",), args=""))
    assert command(step, values_in(tmp_path), environment(tmp_path))[-3:] == (
        "--class",
        "org.Main",
        f"{tmp_path}/b.jar",
    )


def test_without_pyspark_or_java_there_is_a_reason(tmp_path: Path) -> None:
    """The step is skipped with what is missing, and never reported as a success."""
    assert skip_reason(PYTHON, environment(tmp_path)) == ""
    shutil.rmtree(tmp_path / "site")
    assert "needs Java" in skip_reason(PYTHON, environment(tmp_path, has_java=False))
    if importlib.util.find_spec("pyspark") is None:
        environ = {"PATH": str(tmp_path)}
        assert (
            skip_reason(PYTHON, environ)
            == f"a Spark step needs pyspark in {PYTHON}, which is not installed there"
        )
        with pytest.raises(UsageError, match=r"job\.yml:2: count: a Spark step needs pyspark"):
            command(STEP, values_in(tmp_path), environ)


@pytest.mark.parametrize(
    ("task", "message"),
    [
        ({"entry": "none.py"}, "entry: none.py does not exist in the code of the step"),
        ({"entry": "Main"}, "entry is 'Main', which must be a Python file, or a class of one of the jars"),
        ({"py_files": ("none.zip",)}, "py_files: none.zip does not exist"),
        ({"args": "'"}, "No closing quotation"),
        ({"args": "${{inputs.z}}"}, "${{inputs.z}} has no value"),
    ],
)
def test_an_invalid_task_is_an_error_with_the_line_of_the_step(
    tmp_path: Path, task: dict[str, object], message: str
) -> None:
    """Nothing starts, and the error names the value."""
    with pytest.raises(UsageError) as caught:
        command(replace(STEP, spark=replace(SPARK, **task)), values_in(tmp_path), environment(tmp_path))
    assert str(caught.value).startswith("job.yml:2: count: ")
    assert message in str(caught.value)


@pytest.mark.skipif(
    importlib.util.find_spec("pyspark") is None or not shutil.which("java"), reason="needs pyspark"
)
def test_a_real_spark_writes_its_output(tmp_path: Path) -> None:
    """A script of pyspark counts rows, and its output is a folder that it creates."""
    values = values_in(tmp_path)
    (tmp_path / "count.py").write_text(
        "import sys\nfrom pyspark.sql import SparkSession\nspark = SparkSession.builder.getOrCreate()\n"
        "spark.range(5).write.csv(sys.argv[4])\n"
    )
    subprocess.run(command(STEP, values, os.environ), check=True, timeout=300)
    assert sum(len(path.read_text().splitlines()) for path in (tmp_path / "y").glob("*.csv")) == 5
