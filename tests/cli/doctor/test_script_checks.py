"""The checks of scripts: each known problem, and no false alarm."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from amllog.cli.doctor.script_checks import MAX_SNAPSHOT_FILES, check_script

OUTPUT = (
    "import argparse\np = argparse.ArgumentParser()\np.add_argument('--output_dir')\na = p.parse_args()\n"
)
PROBLEMS = {
    "no folder": (OUTPUT + "open(a.output_dir + '/x', 'w').write('1')", "is not created"),
    "not installed": ("import nosuchpackage.part\nfrom nosuchpackage import x", "nosuchpackage is imported"),
    "no reuse": ("PythonScriptStep(allow_reuse=False)", "allow_reuse=False"),
    "regenerated": ("experiment.submit(p, regenerate_outputs=True)", "regenerate_outputs=True"),
    "a clock": ("Step(arguments=['--t', datetime.now()])", "a time in arguments"),
    "one folder": ("Step(source_directory='src')\nStep(source_directory='src')", "also used in line 1"),
    "a mount": ("Step(outputs=[output_data.as_mount()])", "an output is mounted"),
    "a workspace": ("run = Run.get_context()\nws = Workspace.from_config()", "401 in a job"),
    "no run": ("def init():\n    pass", "init() without run"),
    "own arguments": (
        "def init():\n    p.parse_args()\ndef run(mini_batch):\n    pass",
        "parse_args() with init()",
    ),
    "two handlers": ("AzureLogHandler()\nlogger.addHandler(AzureLogHandler())", "a second AzureLogHandler"),
    "a handler": ("import amllog\namllog.setup()\nAzureLogHandler()", "an AzureLogHandler and amllog"),
    "debug": ("AzureLogHandler()\nlogging.basicConfig(level=logging.DEBUG)", "DEBUG with an AzureLogHandler"),
    "azureml's name": ("logging.getLogger('azureml.mine').info('x')", "a logger named azureml.*"),
    "no setup": ("import amllog\nlog = amllog.get_logger('x')", "not set up here"),
    "prints": ("print('loss', 1)", "only prints"),
    "an exit": ("import amllog\namllog.setup()\nraise SystemExit(main())", "with any exit code"),
}
FINE = """
import argparse, logging, os
import amllog
import beside

log = amllog.setup()
parser = argparse.ArgumentParser()
parser.add_argument("--output_dir")
args, _ = parser.parse_known_args()
os.makedirs(args.output_dir, exist_ok=True)
with open(os.path.join(args.output_dir, "x"), "w") as file:
    file.write("1")
print("done")
if not rows:
    raise SystemExit
step = Step(source_directory="one", arguments=["--epochs", 3], outputs=[output.as_upload()])
other = Step(source_directory="two", allow_reuse=True)
"""


def check_code(code: str, folder: Path) -> list[Any]:
    """Return the checks of a script."""
    path = folder / "script.py"
    path.write_text(code, encoding="utf-8")
    return list(check_script(path))


@pytest.mark.parametrize(("code", "message"), PROBLEMS.values(), ids=PROBLEMS)
def test_a_problem_is_found(code: str, message: str, tmp_path: Path) -> None:
    """A known problem is reported once, with its line and advice."""
    (problem,) = (check for check in check_code(code, tmp_path) if message in check.found)
    assert (problem.state, problem.about.startswith("script.py:"), bool(problem.advice)) == (
        "warn",
        True,
        True,
    )


def test_a_good_script(tmp_path: Path) -> None:
    """A script without known problems has no warning."""
    (tmp_path / "beside.py").touch()
    assert [(check.state, check.found) for check in check_code(FINE, tmp_path)] == [
        ("ok", "no known problems")
    ]


def test_a_large_source_directory(tmp_path: Path) -> None:
    """A source directory with too many files is reported, because all of them are in the snapshot of the step."""
    (tmp_path / "src").mkdir()
    for number in range(MAX_SNAPSHOT_FILES + 1):
        (tmp_path / "src" / str(number)).touch()
    assert "more than 2000 files" in check_code("Step(source_directory='src')", tmp_path)[0].found


def test_files_that_are_not_python(cli: Any, tmp_path: Path) -> None:
    """A file that cannot be parsed is an error, and no script is run."""
    (tmp_path / "bad.py").write_text("def (")
    (tmp_path / "good.py").write_text("open('ran', 'w')")
    ran = cli("doctor", "bad.py", "good.py", "missing.py")
    assert (ran.returncode, ran.stdout.count("cannot be read as Python"), Path("ran").exists()) == (
        1,
        2,
        False,
    )
