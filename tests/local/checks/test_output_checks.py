"""Tests of the checks of output folders of SDK v1."""

from __future__ import annotations

import pytest

from amllog.local.plan.planned_steps import PlannedOutput

PARSE = (
    "import argparse, os\np = argparse.ArgumentParser()\np.add_argument('--out-dir')\nargs = p.parse_args()\n"
)
V1 = {"model": PlannedOutput(is_created=False)}
ARGUMENTS = ("python", "train.py", "--out-dir", "${{outputs.model}}")


def findings(project, body: str, arguments: tuple[str, ...] = ARGUMENTS) -> list[str]:
    """Return the findings of a step of SDK v1 with this script."""
    project.write("src/train.py", PARSE + body)
    project.add(arguments=arguments, code=project.folder / "src", outputs=V1)
    return project.findings()


@pytest.mark.parametrize(
    "write",
    [
        "open(os.path.join(args.out_dir, 'x'), 'w')",
        "open(f'{args.out_dir}/x', 'w')",
        "open(args.out_dir + '/x', 'w')",
        "import pathlib; (pathlib.Path(args.out_dir) / 'x').write_text('')",
        "folder = args.out_dir; open(os.path.join(folder, 'x'), 'w')",
    ],
)
def test_a_folder_that_is_never_created(project, write: str) -> None:
    """A script that writes into the folder without creating it is an error at the first path inside it."""
    assert findings(project, f"{write}\n") == [
        (
            "src/train.py:5: output model: no script creates its folder, and SDK v1 does not: call "
            "os.makedirs(args.out_dir, exist_ok=True) before this line"
        )
    ]


@pytest.mark.parametrize(
    "body",
    [
        "os.makedirs(args.out_dir)\nopen(os.path.join(args.out_dir, 'x'), 'w')\n",
        "import pathlib\npathlib.Path(args.out_dir).mkdir()\n(pathlib.Path(args.out_dir) / 'x').touch()\n",
        "open(args.out_dir, 'w')\n",
        "print(args.out_dir)\n",
        f"args{'.filter()' * 300}.join('x', 'y')\n",
    ],
)
def test_correct_scripts(project, body: str) -> None:
    """A script that creates the folder, or uses the path as a file, gives nothing."""
    assert findings(project, body) == []


def test_an_option_in_one_word(project) -> None:
    """The option and its value may be one word."""
    arguments = ("python", "train.py", "--out-dir=${{outputs.model}}")
    assert len(findings(project, "open(args.out_dir + '/x', 'w')\n", arguments)) == 1


def test_an_output_without_an_option(project) -> None:
    """If the name in the script is not known, it is a warning at the step."""
    arguments = ("python", "train.py", "${{outputs.model}}")
    [finding] = findings(project, "import sys; open(sys.argv[1] + '/x', 'w')\n", arguments)
    assert finding.startswith("pipeline.yml:1: warning: output model: no script creates its folder")


def test_outputs_of_v2_are_created(project) -> None:
    """The service creates the outputs of v2, so their scripts are correct."""
    project.write("src/train.py", PARSE + "open(args.out_dir + '/x', 'w')\n")
    command = "python train.py --out-dir ${{outputs.model}}"
    project.add(command, code=project.folder / "src", outputs={"model": PlannedOutput()})
    assert project.findings() == []
