"""The file MLTable."""

from pathlib import Path

import pytest

from amllog.errors import UsageError
from amllog.local.step_kinds.mltable_file import table_of


def test_an_mltable_is_paths_and_transformations(tmp_path: Path) -> None:
    """Options may be missing, and without transformations the table is a list of files."""
    (tmp_path / "MLTable").write_text(
        "type: mltable\npaths:\n- pattern: ./*.csv\ntransformations:\n- read_delimited:\n- take: 3\n"
    )
    assert table_of(tmp_path) == {
        "folder": str(tmp_path),
        "has_file": True,
        "paths": [{"pattern": "./*.csv"}],
        "transformations": [("read_delimited", {}), ("take", 3)],
    }
    (tmp_path / "MLTable").write_text("paths:\n- file: ./mnist\n")
    assert table_of(tmp_path)["transformations"] == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[1]", "must be a map with the key paths"),
        ("paths: x", "paths is 'x', which must be a list"),
        ("paths: [{files: x}]", "{'files': 'x'} must have one of the keys file, folder, pattern"),
        ("paths: [{file: 'azureml://x'}]", "azureml://x is not on this machine"),
        (
            "paths: [{file: x}]\ntransformations: [take: 3]",
            "the first transformation is take, which must be one of",
        ),
        ("paths: [{file: x}]\ntransformations: [3]", "the transformation 3 must be a map with one key"),
        ("paths: [", "MLTable:1: "),
    ],
)
def test_an_invalid_file_is_an_error(tmp_path: Path, text: str, message: str) -> None:
    """The error has the file, the value and what is allowed."""
    (tmp_path / "MLTable").write_text(text)
    with pytest.raises(UsageError) as caught:
        table_of(tmp_path)
    assert message in str(caught.value)
    assert str(tmp_path / "MLTable") in str(caught.value)


def test_data_without_an_mltable_is_a_table_by_its_suffix(tmp_path: Path) -> None:
    """A file, or a folder of files with one suffix, stands for a registered table."""
    (tmp_path / "a.csv").touch()
    expected = [("read_delimited", {"delimiter": ","})]
    assert table_of(tmp_path / "a.csv")["paths"] == [{"file": "a.csv"}]
    assert (
        table_of(tmp_path / "a.csv")["transformations"] == table_of(tmp_path)["transformations"] == expected
    )
    (tmp_path / "b.txt").touch()
    with pytest.raises(
        UsageError, match="has no file MLTable, and its files do not all have one of the suffixes"
    ):
        table_of(tmp_path)
