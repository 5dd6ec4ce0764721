"""Divide the input of a parallel step into mini-batches: lists of files, or parts of a table.

A stand-alone program for the interpreter of the step: `python mini_batches.py JSON`. It writes `batches.json` and a
pickle for each part of a table into a folder. Only tables import pandas, and mltable if it is installed.
"""

from __future__ import annotations

import glob
import importlib
import itertools
import json
import math
import os
import pickle
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas

_ENCODINGS = {"iso88591": "iso-8859-1", "windows1252": "cp1252"}
_SAMPLE_ROWS = 1000
_PATH = "Path"


class InputError(Exception):
    """The error of an input that cannot be divided."""


def expand(folder: str, paths: Sequence[dict[str, str]]) -> list[str]:
    """Return the files that the entries `file`, `folder` and `pattern` of an MLTable name. Raises InputError."""
    files = []
    for entry in paths:
        (kind, text), *_ = entry.items()
        path = os.path.normpath(os.path.join(folder, text))
        if kind == "pattern":  # only the text is a pattern, and not the name of the folder
            pattern = os.path.normpath(os.path.join(glob.escape(folder), text))
            matches = sorted(name for name in glob.glob(pattern, recursive=True) if os.path.isfile(name))
        elif os.path.isdir(path):
            matches = sorted(os.path.join(top, name) for top, _, names in os.walk(path) for name in names)
        else:
            matches = [path] if os.path.exists(path) else []
        if not matches:
            reason = "it is empty" if os.path.isdir(path) else "there is no such file"
            raise InputError(f"{kind} {text!r} in {folder}: {reason}")
        files += matches
    return files


def _reader(name: str, options: dict[str, Any]) -> Callable[[str], pandas.DataFrame]:
    """Return the function that reads one file."""
    import pandas

    encoding = str(options.get("encoding", "utf8"))
    encoding = _ENCODINGS.get(encoding, encoding)
    if name == "read_parquet":
        read_parquet: Callable[[str], pandas.DataFrame] = pandas.read_parquet
        return read_parquet
    if name == "read_json_lines":
        return lambda path: pandas.read_json(path, lines=True, encoding=encoding)
    has_header = options.get("header", "all_files_same_headers") not in ("no_header", False)

    def read_delimited(path: str) -> pandas.DataFrame:
        frame = pandas.read_csv(
            path,
            sep=options.get("delimiter", ","),
            encoding=encoding,
            header=0 if has_header else None,
            keep_default_na=not options.get("empty_as_string", False),
        )
        return frame if has_header else frame.rename(columns=lambda number: f"Column{number + 1}")

    return read_delimited


def _partition_columns(frame: pandas.DataFrame, folder: str, text: str) -> pandas.DataFrame:
    """Return the table with the columns that a format such as `{store}/{brand}/{file}.csv` takes from the path."""
    if re.search(r"\{[^}]*[^}\w][^}]*\}", text):
        raise InputError(f"partition_format {text!r}: dates and other formats need the package mltable")
    parts = re.split(r"\{(\w+)\}", text.lstrip("/"))
    pattern = "".join(f"(?P<{part}>[^/]+)" if n % 2 else re.escape(part) for n, part in enumerate(parts))
    paths = frame[_PATH].map(lambda path: os.path.relpath(path, folder))
    columns = paths.str.extract(f"(?:^|/){pattern}$")
    if columns.isna().to_numpy().any():
        raise InputError(
            f"partition_format {text!r} does not match the path {paths[columns.isna().any(axis=1)].iloc[0]!r}"
        )
    for name in columns:
        frame[name] = columns[name]
    return frame


def _transform(frame: pandas.DataFrame, folder: str, name: str, options: Any) -> pandas.DataFrame:
    """Apply one transformation of an MLTable."""
    columns = [options] if isinstance(options, str) else options
    if name == "extract_columns_from_partition_format":
        return _partition_columns(frame, folder, options["partition_format"])
    if name == "drop_columns":
        return frame.drop(columns=[column for column in columns if column in frame])
    if name == "keep_columns":
        return frame[list(columns)]
    if name == "take":
        return frame.head(int(options))
    if name == "skip":
        return frame.iloc[int(options) :]
    raise InputError(
        f"the transformation {name!r} of an MLTable needs the package mltable in {sys.executable}"
    )


def _read_with_pandas(task: dict[str, Any]) -> pandas.DataFrame:
    """Read the files of an MLTable, for interpreters without the package mltable."""
    try:
        import pandas
    except ImportError:
        raise InputError(f"mini-batches of a table need pandas in {sys.executable}") from None
    folder = task["folder"]
    (reader, options), *transformations = task["transformations"]
    read = _reader(reader, options)
    frames = []
    for path in expand(folder, task["paths"]):
        try:
            frame = read(path)
        except (OSError, ValueError, ImportError) as error:  # without a library for Parquet
            raise InputError(f"{path}: {error}") from error
        frame.insert(0, _PATH, path)
        frames.append(frame)
    frame = pandas.concat(frames, ignore_index=True)
    for name, value in transformations:
        frame = _transform(frame, folder, name, value)
    if not options.get("include_path_column") and _PATH in frame:
        frame = frame.drop(columns=_PATH)
    return frame


def read_table(task: dict[str, Any]) -> pandas.DataFrame:
    """Return the table, through mltable if it is installed and there is a file for it."""
    try:
        if not task["has_file"]:
            raise ImportError
        mltable = importlib.import_module("mltable")
    except ImportError:
        return _read_with_pandas(task)
    return mltable.load(task["folder"]).to_pandas_dataframe()


def divide_table(
    frame: pandas.DataFrame, keys: list[str], size: int
) -> Iterator[tuple[pandas.DataFrame, dict[str, Any]]]:
    """Yield the parts of a table with their partition keys. Without keys, a part has about `size` bytes."""
    missing = [key for key in keys if key not in frame]
    if missing:
        raise InputError(
            f"partition_keys: the table has no column {missing[0]!r}, only {', '.join(map(str, frame))}"
        )
    if keys:
        for group, part in frame.groupby(keys, dropna=False):
            values = group if isinstance(group, tuple) else (group,)
            plain = (value.item() if hasattr(value, "item") else value for value in values)
            yield part.reset_index(drop=True), dict(zip(keys, plain))
        return
    sample = frame.head(_SAMPLE_ROWS)
    row_size = max(1.0, len(sample.to_csv(index=False, header=False).encode()) / max(1, len(sample)))
    rows = max(1, math.floor(size / row_size))
    for start in range(0, len(frame), rows):
        yield frame.iloc[start : start + rows].reset_index(drop=True), {}


def _batches(task: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the mini-batches, and write the parts of tables."""
    if not task["transformations"]:
        files = iter(expand(task["folder"], task["paths"]))
        # Without `:=`, because Microsoft's example of this step has Python 3.7.
        for items in iter(lambda: list(itertools.islice(files, task["size"])), []):
            yield {"items": items, "table": "", "total": len(items), "detail": items[0]}
        return
    for number, (part, values) in enumerate(
        divide_table(read_table(task), task["partition_keys"], task["size"])
    ):
        path = os.path.join(task["directory"], f"{number}.pickle")
        with open(path, "wb") as file:
            pickle.dump((part, values), file)
        detail = ", ".join(f"{key}={value}" for key, value in values.items()) or f"{len(part)} rows"
        yield {"items": [], "table": path, "total": len(part), "detail": detail}


def main() -> int:
    """Divide the input of the task in the first argument."""
    task = json.loads(sys.argv[1])
    here = os.path.dirname(__file__)  # the other programs there are no modules of the step
    sys.path[:] = [folder for folder in sys.path if folder != here]
    try:
        batches = [{**batch, "number": number} for number, batch in enumerate(_batches(task))]
        answer: dict[str, Any] = {"batches": batches} if batches else {"error": "the input is empty"}
    except (InputError, OSError, ValueError) as error:
        answer = {"error": str(error)}
    with open(os.path.join(task["directory"], "batches.json"), "w", encoding="utf-8") as file:
        json.dump(answer, file)
    return 1 if "error" in answer else 0


if __name__ == "__main__":
    sys.exit(main())
