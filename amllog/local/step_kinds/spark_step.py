"""The command of a Spark step: `spark-submit` with all cores of this machine, and the reason if that is impossible."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

from amllog.errors import UsageError
from amllog.local.execution.command_text import CommandValues, replace_expressions
from amllog.local.execution.step_values import StepValues
from amllog.local.plan.planned_steps import PlannedStep, SparkTask, literals_of

_MASTER = "local[*]"
# Spark listens on the loopback interface only, and without its page.
_LOCAL_CONF = {
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.ui.enabled": "false",
}
_FIND = (
    "import importlib.util as u; s = u.find_spec('pyspark'); "
    "print(list(s.submodule_search_locations or [''])[0] if s else '')"
)
_SECONDS_TO_FIND = 60


def skip_reason(python: Path, environ: Mapping[str, str]) -> str:
    """Return why a Spark step cannot run with this interpreter, or an empty string."""
    if not _spark_submit(python, environ):
        return f"a Spark step needs pyspark in {python}, which is not installed there"
    if not _has_java(environ):
        return "a Spark step needs Java, and there is no java in JAVA_HOME or on PATH"
    return ""


def _spark_submit(python: Path, environ: Mapping[str, str]) -> str:
    """Return the path of spark-submit: that of the interpreter's pyspark, otherwise that on PATH."""
    try:
        done = subprocess.run(
            [python, "-c", _FIND],
            capture_output=True,
            text=True,
            timeout=_SECONDS_TO_FIND,
            check=False,
            env=dict(environ),
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UsageError(f"The interpreter {python} does not answer: {error}") from error
    program = Path(done.stdout.strip(), "bin", "spark-submit")
    if done.stdout.strip() and program.is_file():
        return os.fspath(program)
    return shutil.which("spark-submit", path=environ.get("PATH", "")) or ""


def _has_java(environ: Mapping[str, str]) -> bool:
    home = environ.get("JAVA_HOME", "")
    return bool(
        (home and Path(home, "bin", "java").is_file()) or shutil.which("java", path=environ.get("PATH", ""))
    )


def command(step: PlannedStep, values: StepValues, environ: Mapping[str, str]) -> tuple[str, ...]:
    """Return the words that start a Spark step. Raises UsageError with the line of the step."""
    spark = step.spark
    if spark is None:
        raise UsageError(f"{step.position}: {step.name} has no Spark task")
    program = _spark_submit(values.python, environ)
    if not program:
        raise UsageError(f"{step.position}: {step.name}: {skip_reason(values.python, environ)}")
    texts = CommandValues(values.inputs, values.outputs, literals_of(step))
    try:
        words = shlex.split(replace_expressions(spark.args, texts, is_shell=True))
        options = list(_options(spark, values.work))
    except (UsageError, ValueError) as error:  # ValueError: a quotation mark is not closed
        raise UsageError(f"{step.position}: {step.name}: {error}") from None
    _remove_empty_outputs(values)
    home = Path(program).parent.parent
    variables = [
        f"PYSPARK_PYTHON={values.python}",
        f"PYSPARK_DRIVER_PYTHON={values.python}",
        "SPARK_LOCAL_IP=127.0.0.1",
    ]
    if home.name == "pyspark":  # SPARK_HOME of the shell may be another version
        variables.append(f"SPARK_HOME={home}")
    return ("env", *variables, program, "--master", _MASTER, *options, *words)


def _options(spark: SparkTask, work: Path) -> Iterator[str]:
    """Yield the options of spark-submit and the program that it runs."""
    for name, value in {**spark.conf, **_LOCAL_CONF}.items():
        text = str(value).lower() if isinstance(value, bool) else str(value)
        yield from ("--conf", f"{name}={text}")
    for option, names in (("--py-files", spark.py_files), ("--jars", spark.jars), ("--files", spark.files)):
        missing = [name for name in names if "://" not in name and not (work / name).exists()]
        if missing:
            raise UsageError(
                f"{option[2:].replace('-', '_')}: {missing[0]} does not exist in the code of the step"
            )
        if names:
            yield from (option, ",".join(name if "://" in name else str(work / name) for name in names))
    if spark.entry.endswith(".py"):
        if not (work / spark.entry).is_file():
            raise UsageError(f"entry: {spark.entry} does not exist in the code of the step")
        yield str(work / spark.entry)
    elif spark.jars:  # the entry is a class
        yield from ("--class", spark.entry, str(work / spark.jars[0]))
    else:
        raise UsageError(
            f"entry is {spark.entry!r}, which must be a Python file, or a class of one of the jars"
        )


def _remove_empty_outputs(values: StepValues) -> None:
    """Remove the folders of outputs, which Spark creates itself and rejects if they exist."""
    for path in values.outputs.values():
        with contextlib.suppress(OSError):  # it is a file, is not empty, or is not there
            os.rmdir(path)
