"""Tests of the checks of code folders."""

from __future__ import annotations

from amllog.local.checks.code_folder import MAX_BYTES


def test_a_shared_folder_is_a_warning(project) -> None:
    """Steps with different scripts share a folder: one warning. The same component twice is no fault."""
    project.write("src/a.py")
    project.write("src/b.py")
    code = project.folder / "src"
    project.add("python a.py", code=code)
    project.add("python a.py", code=code)
    assert project.findings() == []
    project.add("python b.py", code=code)
    assert project.findings() == [
        (
            "pipeline.yml:5: warning: code: the steps s0, s2 share the folder src. A change for one of them runs all "
            "of them again: give each step a folder of its own"
        )
    ]


def test_missing_folders_are_reported_at_each_line(project) -> None:
    """A missing code folder is an error at each step that names it."""
    project.add("echo", code=project.folder / "no")
    project.add("echo", code=project.folder / "no")
    assert project.findings() == [f"pipeline.yml:{line}: code: no does not exist" for line in (1, 3)]


def test_big_folders_are_a_warning(project) -> None:
    """A folder above the limits of a snapshot is a warning that names the ignore file."""
    with project.write("src/big").open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    project.add("echo", code=project.folder / "src")
    assert project.findings() == [
        "pipeline.yml:1: warning: code: src has more than 300 MB: exclude files in src/.amlignore"
    ]


def test_single_files_and_steps_without_code(project) -> None:
    """A single file may be the code of several steps, and a step may have none."""
    code = project.write("a.py")
    project.add("python a.py", code=code)
    project.add("python a.py x", code=code)
    project.add("echo")
    assert project.findings() == []
