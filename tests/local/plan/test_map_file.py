"""Tests of the map file `amllog.yml`."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest
import yaml
from hypothesis import given, strategies as st

from amllog.local.plan.map_file import find_map_file, load_maps, map_line, read_map_file
from amllog.local.plan.planned_steps import EnvironmentReference

GOOD = """\
# the data of this project
data:
  credit: data/credit.csv
  "2024": 2024
  azureml://datastores/blobs/paths/: blobs
environments:
  train-env: .venv
  score-env: {venv: true}
  eval-env: {conda_file: env/conda.yml, python: python3}
  plain: {venv: false, python: current}
  "*": python3
components:
  prep: components/prep.yml
"""


def messages(folder: Path, text: str) -> list[str]:
    """Return the findings of a map file, without the path of the file."""
    (folder / "amllog.yml").write_text(text, encoding="utf-8")
    findings = read_map_file(folder / "amllog.yml")[1]
    return [str(finding).replace(f"{folder}{os.sep}", "") for finding in findings]


def test_a_correct_file(tmp_path: Path) -> None:
    """All forms of entries are read, with paths relative to the file, and no finding."""
    assert messages(tmp_path, GOOD) == []
    maps, _ = read_map_file(tmp_path / "amllog.yml")
    assert [(entry.key, entry.path, entry.position.line) for entry in maps.data] == [
        ("credit", tmp_path / "data" / "credit.csv", 3),
        ("2024", tmp_path / "2024", 4),
        ("azureml://datastores/blobs/paths/", tmp_path / "blobs", 5),
    ]
    assert [(e.key, e.python, e.is_built, e.conda_file) for e in maps.environments] == [
        ("train-env", ".venv", False, None),
        ("score-env", "", True, None),
        ("eval-env", "python3", True, tmp_path / "env" / "conda.yml"),
        ("plain", "", False, None),
        ("*", "python3", False, None),
    ]
    assert maps.components == {"prep": tmp_path / "components" / "prep.yml"}


@pytest.mark.parametrize("text", ["", "# nothing\n", "data:\nenvironments:\n", "null\n"])
def test_files_without_entries(tmp_path: Path, text: str) -> None:
    """An empty file and empty sections are no error."""
    assert messages(tmp_path, text) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("- data\n", "amllog.yml:1: is not a mapping: allowed are the keys data, environments, components"),
        ("data: {}\ndat: {}\n", "amllog.yml:2: unknown key 'dat'. Did you mean 'data'?"),
        ("data: x.csv\n", "amllog.yml:1: data is not a mapping: allowed are lines such as `name: path`"),
        ("data:\n  credit:\n", "amllog.yml:2: data credit: allowed is a path"),
        ("data:\n  a: b\n  a: c\n", "amllog.yml:3: duplicate key 'a': it is also in line 2"),
        ("data:\n  credit: [a]\n", "amllog.yml:2: data credit: allowed is a path"),
        ("environments:\n  e: true\n", "amllog.yml:2: environment e: allowed is the path or the name of an"),
        ("environments:\n  e: {pyton: x}\n", "amllog.yml:2: environment e: unknown key 'pyton'. Did you mea"),
        (
            "environments:\n  e:\n    venv: .venv\n",
            "amllog.yml:3: environment e: venv: allowed is true or fa",
        ),
        ("environments:\n  e:\n    python: []\n", "amllog.yml:3: environment e: python: allowed is a path"),
        ("data:\n\ta: b\n", "amllog.yml:2: invalid YAML: "),
    ],
)
def test_one_mistake(tmp_path: Path, text: str, expected: str) -> None:
    """A file with one mistake has one finding, at its line."""
    assert [message[: len(expected)] for message in messages(tmp_path, text)] == [expected]


def test_all_mistakes_at_once(tmp_path: Path) -> None:
    """All mistakes of a file are reported, and the other entries are used."""
    text = "data:\n  a: []\n  b: x\nenvironments:\n  e: {python: p, vnev: true}\nother: 1\n"
    assert [message.partition(": ")[0] for message in messages(tmp_path, text)] == [
        "amllog.yml:6",
        "amllog.yml:2",
        "amllog.yml:5",
    ]
    assert [entry.key for entry in read_map_file(tmp_path / "amllog.yml")[0].data] == ["b"]


def test_the_nearest_file_above(tmp_path: Path) -> None:
    """The nearest map file is used. A folder of this name is no map file."""
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    (below / "amllog.yml").mkdir()
    (tmp_path / "a" / "amllog.yaml").write_text("")
    (tmp_path / "amllog.yml").write_text("")
    assert find_map_file(below) == (tmp_path / "a" / "amllog.yaml", [])


@pytest.mark.skipif(os.name == "nt" or os.geteuid() != 0, reason="only root can give a file away")
def test_the_file_of_another_user_is_ignored(child) -> None:
    """A map file names interpreters. One that another user put above the pipeline is not read, with a warning."""
    code = (
        "import os, pathlib, sys\n"
        "from amllog.local.plan import map_file\n"
        "os.seteuid(54321)\n"
        "file, findings = map_file.find_map_file(pathlib.Path(sys.argv[1]))\n"
        "print(file, *findings)\n"
    )
    with tempfile.TemporaryDirectory() as name:  # another user cannot access `tmp_path`
        place = Path(name).resolve()
        place.chmod(0o755)
        (place / "amllog.yml").write_text("")
        (place / "p").mkdir()
        os.chown(place / "amllog.yml", 12345, 12345)
        os.chown(place / "p", 54321, 54321)
        output = child(code, os.fspath(place / "p")).stdout.strip()
    assert output == f"None {place / 'amllog.yml'}: warning: is ignored, because another user owns it"


def test_options_and_file_together(tmp_path: Path) -> None:
    """Entries of options precede those of the file. Without a file, its place is beside the pipeline."""
    maps, findings = load_maps(tmp_path, {"credit": "x"}, {"*": "current"}, tmp_path / "cwd")
    assert (maps.file, findings) == (tmp_path / "amllog.yml", [])
    (tmp_path / "amllog.yml").write_text(GOOD, encoding="utf-8")
    maps, findings = load_maps(tmp_path, {"credit": "x"}, {"*": "current"}, tmp_path / "cwd")
    fits = [maps.data_path(name) for name in ("azureml:credit:1", "azureml:2024:1")]
    entry = maps.environment(EnvironmentReference("azureml:unknown:1"))
    assert ([fit and fit[1] for fit in fits], findings) == ([tmp_path / "cwd" / "x", tmp_path / "2024"], [])
    assert entry is not None
    assert entry.is_option


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1))
def test_lines_to_add_are_valid(key: str) -> None:
    """The line that a message tells the user to add is YAML with this key, whatever the key is."""
    line = map_line(key, "PATH")
    assert yaml.safe_load(line) == {key: "PATH"}
