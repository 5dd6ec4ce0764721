"""The division of files and tables, without the package mltable."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from amllog.local.step_kinds import mini_batches
from amllog.local.step_kinds.mini_batches import InputError, divide_table, expand, read_table

pandas = pytest.importorskip("pandas")
CSV = ("read_delimited", {})


def table(folder: Path, *transformations: Any, path: str = "**/*.csv") -> dict[str, Any]:
    """Return the task of a table of the files that match."""
    return {
        "folder": str(folder), "has_file": False, "paths": [{"pattern": path}], "transformations": transformations,
    }  # fmt: skip


def divide(directory: Path, **task: Any) -> dict[str, Any]:
    """Run the program with a directory for its files, and return its answer."""
    words = [
        sys.executable,
        "-I",
        "-S",
        mini_batches.__file__,
        json.dumps({**task, "directory": str(directory)}),
    ]
    done = subprocess.run(words, check=False)
    answer = json.loads((directory / "batches.json").read_text())
    assert done.returncode == ("error" in answer)
    return answer


def test_files_are_divided_in_the_order_of_their_names(tmp_path: Path) -> None:
    """All files below the folder are in one mini-batch each, with their absolute paths."""
    names = ["a/1", "a/2", "b", "c d", "\udcff"]
    (tmp_path / "in" / "a").mkdir(parents=True)
    for name in names:
        (tmp_path / "in" / name).touch()
    answer = divide(
        tmp_path, folder=str(tmp_path / "in"), paths=[{"folder": "."}], transformations=[], size=2
    )
    batches = answer["batches"]
    assert [item for batch in batches for item in batch["items"]] == sorted(
        f"{tmp_path}/in/{n}" for n in names
    )
    assert [(batch["number"], batch["total"]) for batch in batches] == [(0, 2), (1, 2), (2, 1)]


def test_an_input_without_files_is_an_error(tmp_path: Path) -> None:
    """The error names the path as it is in the MLTable, and the folder. An empty folder is not a missing one."""
    for entry in ({"file": "none.csv"}, {"folder": "empty"}, {"pattern": "*.csv"}):
        (tmp_path / "empty").mkdir(exist_ok=True)
        answer = divide(tmp_path, folder=str(tmp_path), paths=[entry], transformations=[], size=2)
        ((kind, text),) = entry.items()
        reason = "it is empty" if kind == "folder" else "there is no such file"
        assert answer == {"error": f"{kind} {text!r} in {tmp_path}: {reason}"}


def test_paths_of_an_mltable_are_files_folders_and_patterns(tmp_path: Path) -> None:
    """`file` may name a folder too, as an example of Microsoft does. The name of the table's folder is no pattern."""
    folder = tmp_path / "data [1]"
    (folder / "d").mkdir(parents=True)
    for name in ("d/1.csv", "d/2.txt", "3.csv"):
        (folder / name).touch()
    files = expand(str(folder), [{"file": "./d"}, {"pattern": "./**/*.csv"}, {"file": "3.csv"}])
    assert [str(Path(name).relative_to(folder)) for name in files] == [
        "d/1.csv", "d/2.txt", "3.csv", "d/1.csv", "3.csv",
    ]  # fmt: skip


def test_partition_columns_come_from_the_paths(tmp_path: Path) -> None:
    """A table whose files have no partition keys gets them from the folders, in Microsoft's format."""
    for store in ("1", "2"):
        (tmp_path / store / "x").mkdir(parents=True)
        (tmp_path / store / "x" / "part.csv").write_text(f"n\n{store}0\n")
    extract = (
        "extract_columns_from_partition_format",
        {"partition_format": "{Store}/{Brand}/{file}.{extension}"},
    )
    task = table(
        tmp_path,
        ("read_delimited", {"include_path_column": True}),
        extract,
        ("drop_columns", ["Path", "file", "extension"]),
    )
    frame = read_table(task)
    assert frame.to_dict("list") == {"n": [10, 20], "Store": ["1", "2"], "Brand": ["x", "x"]}
    parts = list(divide_table(frame, ["Store", "Brand"], 1))
    assert [values for _, values in parts] == [{"Store": "1", "Brand": "x"}, {"Store": "2", "Brand": "x"}]
    other = ("extract_columns_from_partition_format", {"partition_format": "{a}/{b}/{c}/{d}.csv"})
    with pytest.raises(InputError, match=r"does not match the path '1/x/part.csv'"):
        read_table(table(tmp_path, CSV, other))


def test_readers_and_transformations(tmp_path: Path) -> None:
    """Delimited text without a header, lines of JSON, Parquet, and the selection of rows and columns."""
    (tmp_path / "a.csv").write_bytes("ä;NA\nb;2\n".encode("latin-1"))
    options = {"delimiter": ";", "encoding": "iso88591", "header": "no_header", "empty_as_string": True}
    assert read_table(table(tmp_path, ("read_delimited", options))).to_dict("list") == {
        "Column1": ["ä", "b"],
        "Column2": ["NA", "2"],
    }
    (tmp_path / "a.jsonl").write_text('{"x": 1, "y": 2}\n{"x": 3, "y": 4}\n')
    task = table(tmp_path, ("read_json_lines", {}), ("skip", 1), ("keep_columns", ["y"]), path="a.jsonl")
    assert read_table(task).to_dict("list") == {"y": [4]}
    pandas.DataFrame({"x": [1, 2]}).to_parquet(tmp_path / "a.parquet")
    assert read_table(table(tmp_path, ("read_parquet", {}), ("take", 1), path="a.parquet")).to_dict(
        "list"
    ) == {"x": [1]}
    with pytest.raises(
        InputError, match="the transformation 'filter' of an MLTable needs the package mltable"
    ):
        read_table(table(tmp_path, ("read_delimited", options), ("filter", "col('x') > 1")))
    with pytest.raises(InputError, match=r"a\.csv: 'utf-8' codec can't decode byte 0xe4"):
        read_table(table(tmp_path, CSV))


def test_a_table_is_divided_by_the_size_of_its_rows(tmp_path: Path) -> None:
    """Each mini-batch has about the size, at least one row, and all rows are in one of them."""
    (tmp_path / "a.csv").write_text("x\n" + "123456789\n" * 25)
    task = {**table(tmp_path, CSV), "size": 100, "partition_keys": []}
    frame = read_table(task)
    assert [len(part) for part, _ in divide_table(frame, [], 100)] == [10, 10, 5]
    assert len(list(divide_table(frame, [], 1))) == 25
    parts = divide_table(pandas.DataFrame({"key": ["a", None], "n": [1, 2]}), ["key"], 1)
    assert [len(part) for part, _ in parts] == [1, 1]  # rows without a key are in a mini-batch too
    with pytest.raises(InputError, match="partition_keys: the table has no column 'y', only x"):
        list(divide_table(frame, ["y"], 1))


def test_parts_are_pickles_that_the_worker_reads(tmp_path: Path) -> None:
    """The values of the partition keys are Python's types, because scripts make paths and JSON of them."""
    (tmp_path / "a.csv").write_text("x,y\n1,a\n2,\n1,b\n")
    task = {**table(tmp_path, CSV), "size": 1, "partition_keys": ["x"], "directory": str(tmp_path)}
    batches = list(mini_batches._batches(task))
    part, values = pickle.loads(Path(batches[0]["table"]).read_bytes())
    assert (part["y"].tolist(), values, type(values["x"])) == (["a", "b"], {"x": 1}, int)
    assert [(batch["total"], batch["detail"]) for batch in batches] == [(2, "x=1"), (1, "x=2")]


def test_an_interpreter_without_pandas_is_named(tmp_path: Path) -> None:
    """The error says which interpreter needs the package."""
    (tmp_path / "a.csv").write_text("x\n1\n")
    answer = divide(tmp_path, **table(tmp_path, CSV), size=1, partition_keys=[])
    assert answer == {"error": f"mini-batches of a table need pandas in {sys.executable}"}
