"""The files in journal directories: which are found, their fingerprints and their writers."""

from __future__ import annotations

from pathlib import Path

import pytest

from amllog.insights.stores.local import discovery
from amllog.insights.stores.local.duckdb_views import MAX_LINE_BYTES
from amllog.insights.stores.local.long_lines import has_long_line

from ...conftest import log, write  # isort: skip

NAME = "20261122T100000-node-1-abcdef.jsonl"


def test_files_are_sorted_by_name(tmp_path: Path) -> None:
    """Files in subdirectories are found, empty and other files are not, and names decide the order."""
    second = write(tmp_path / "b" / "20261122T110000-node-1-abcdef.jsonl", log("two"))
    first = write(tmp_path / "c" / NAME, log("one"))
    (tmp_path / "empty.jsonl").touch()
    (tmp_path / "model.bin").write_text("weights")
    assert [file.path for file in discovery.find_files([tmp_path])] == [first, second]
    assert [file.path for file in discovery.find_files([second])] == [second]
    assert discovery.find_files([tmp_path / "missing"]) == []


def test_shorter_copies_are_ignored(tmp_path: Path) -> None:
    """Of files with one name and one start, the longest is found."""
    line = log("one")
    write(tmp_path / "a" / NAME, line)
    longest = write(tmp_path / "b" / NAME, line, log("x" * 5000), log("two"))
    other = write(tmp_path / "c" / NAME, log("another"))
    assert {file.path for file in discovery.find_files([tmp_path])} == {longest, other}


def test_links_and_deep_folders_are_reported(tmp_path: Path) -> None:
    """A link is not followed, and folders beyond the limit of depth are not searched."""
    (tmp_path / NAME).symlink_to("/etc/hostname")
    deep = tmp_path.joinpath(*"d" * (discovery.MAX_DEPTH + 2))
    write(deep / NAME, log("deep"))
    notes: list[str] = []
    assert discovery.find_files([tmp_path], skipped=notes) == []
    assert [note.split(": ")[1] for note in sorted(notes)] == [
        "is a symbolic link",
        f"folders more than {discovery.MAX_DEPTH} deep",
    ]


def test_fingerprints_identify_a_start(tmp_path: Path) -> None:
    """A fingerprint is unchanged when lines are appended, and empty without a whole line."""
    path = tmp_path / NAME
    path.write_bytes(b"one\n")
    digest = discovery.fingerprint(path, 4)
    path.write_bytes(b"one\ntwo\n")
    assert digest == discovery.fingerprint(path, 4) != discovery.fingerprint(path, 8) != ""
    assert [discovery.fingerprint(path, size) for size in (3, 99)] == ["", ""]
    assert discovery.fingerprint(tmp_path / "missing", 1) == ""


def test_appended_bytes_are_copied(tmp_path: Path) -> None:
    """The copy ends at the former size, and a file that became shorter is an error."""
    path, target = tmp_path / NAME, tmp_path / "copy"
    path.write_bytes(b"one\ntwo\nthree\n")
    discovery.copy_from(discovery.FoundFile(path, 8, 0), 4, target)
    assert target.read_bytes() == b"two\n"
    with pytest.raises(OSError, match="shorter"):
        discovery.copy_from(discovery.FoundFile(path, 99, 0), 4, target)


def test_long_lines_are_detected(tmp_path: Path) -> None:
    """Only a line beyond the limit counts, and not a long file of short lines."""
    path = tmp_path / NAME
    path.write_bytes(b"x" * MAX_LINE_BYTES + b"\n" + b"y" * 9 + b"\n")
    size = path.stat().st_size
    assert has_long_line(path, 0, size)
    assert not has_long_line(path, 1, size)
    path.write_bytes(b"short\n" * MAX_LINE_BYTES)
    assert not has_long_line(path, 0, path.stat().st_size)


def test_an_open_writer_is_detected(tmp_path: Path) -> None:
    """A locked file has a writer until the lock is released."""
    fcntl = pytest.importorskip("fcntl")
    path = write(tmp_path / NAME, log("one"))
    assert not discovery.has_writer(path)
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert discovery.has_writer(path)
    assert not discovery.has_writer(path)
    assert not discovery.has_writer(tmp_path / "missing")


def test_folders_of_compacted_files_are_found(tmp_path: Path) -> None:
    """Folders of compacted files are found in and below a directory, with the owner of the directory."""
    (tmp_path / "a" / discovery.COMPACTED_FOLDER).mkdir(parents=True)
    owners = discovery.find_compacted_folders([tmp_path, tmp_path / "missing"])
    assert owners == {(tmp_path / "a" / discovery.COMPACTED_FOLDER).resolve(): tmp_path.stat().st_uid}
