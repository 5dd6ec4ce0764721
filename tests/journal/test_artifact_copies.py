"""Copies of files: their names, the files that are recognized, and failed copies."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies as st

from amllog.journal import artifact_copies, disk_usage
from amllog.journal.artifact_copies import CopyNotWritten, CopyUnusable
from amllog.sources.artifact_copying import FULL, ArtifactCopier

NAME = "artifacts/0123456789ab-model.txt"


def line(text: str) -> bytes:
    """Return a record that contains a string."""
    head = '{"time":"2026-01-01T20:52:35.123456Z","ver":1,"name":"Microsoft.ApplicationInsights.Event"'
    return f'{head},"x":"{text}"}}\n'.encode()


def files(folder: Path) -> dict[str, bytes]:
    """Return the files in the directory of copies."""
    return {path.name: path.read_bytes() for path in (folder / "artifacts").glob("*")}


def copier(folder: Path, max_bytes: int = 1024**2) -> ArtifactCopier:
    """Return a copier without a journal."""
    return ArtifactCopier(lambda: None, folder, max_bytes)


@given(st.text())
def test_new_names_are_recognized(file: str) -> None:
    """The name of a copy is recognized for each name of a file, also in a line."""
    name = artifact_copies.new_name(file)
    assert artifact_copies.is_copy_name(name)
    assert artifact_copies.copies_in(line(name)) == [name.partition("/")[2]]


@pytest.mark.parametrize(
    "name",
    [
        None, 5, [NAME], "", ".", "..", "artifacts", "artifacts/", NAME + "\n", "/" + NAME, "./" + NAME, "../" + NAME,
        "artifacts/../0123456789ab-x", "artifacts/0123456789ab-", "artifacts/0123456789AB-x", "/dev/tty", "\0",
        "artifacts/0123456789ab-" + "x" * 101, "artifacts/0123456789ab-a/b", "artifacts/0123456789ab-\udcff",
    ],
)  # fmt: skip
def test_other_names_are_rejected(tmp_path: Path, name: object) -> None:
    """Other names are neither opened nor deleted."""
    with pytest.raises(CopyUnusable), artifact_copies.open_copy([tmp_path], name):
        pytest.fail("it was opened")
    artifact_copies.delete_copy([tmp_path], name)


def _link(path: Path, secret: Path) -> None:
    path.symlink_to(secret)


def _hard_link(path: Path, secret: Path) -> None:
    os.link(secret, path)


def _linked_folder(path: Path, secret: Path) -> None:
    path.parent.rmdir()
    secret.rename(secret.parent / path.name)
    path.parent.symlink_to(secret.parent)


@pytest.mark.parametrize(
    "make",
    [lambda path, _: os.mkfifo(path), lambda path, _: path.mkdir(), _link, _hard_link, _linked_folder],
)
def test_only_a_regular_file_is_opened(tmp_path: Path, make: Callable[[Path, Path], object]) -> None:
    """A FIFO, a directory and links are neither opened nor deleted."""
    (tmp_path / "artifacts").mkdir()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "secret").write_bytes(b"secret")
    make(tmp_path / NAME, tmp_path / "mine" / "secret")
    with pytest.raises(CopyUnusable), artifact_copies.open_copy([tmp_path], NAME):
        pytest.fail("it was opened")
    artifact_copies.delete_copy([tmp_path], NAME)
    assert os.path.lexists(tmp_path / NAME)
    assert [path.read_bytes() for path in (tmp_path / "mine").iterdir()] == [b"secret"]


def test_the_open_file_is_read_and_deleted(tmp_path: Path) -> None:
    """A file that replaces an open copy is neither read nor deleted. The copy is private."""
    before = os.umask(0)
    artifact_copies.write_copy(tmp_path, NAME, [b"con", b"tent"])
    os.umask(before)
    assert (tmp_path / "artifacts").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / NAME).stat().st_mode & 0o777 == 0o600
    with artifact_copies.open_copy([tmp_path / "gone", tmp_path], NAME) as copy:
        os.rename(tmp_path / NAME, tmp_path / "aside")
        (tmp_path / NAME).write_bytes(b"another")
        assert copy.stream.read() == b"content"
        copy.delete()
    assert files(tmp_path) == {"0123456789ab-model.txt": b"another"}
    artifact_copies.delete_copy([tmp_path], NAME)
    assert files(tmp_path) == {}


def test_nothing_is_written_through_a_link(tmp_path: Path) -> None:
    """If the directory of copies is a link or a file, nothing is copied."""
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "artifacts").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "artifacts").write_text("a file of the user")
    for name in ("a", "b", "missing"):
        with pytest.raises(CopyNotWritten):
            copier(tmp_path / name).copy(b"content", "f")
    assert list((tmp_path / "elsewhere").iterdir()) == []


class _Broken(io.RawIOBase):
    def __init__(self, error: BaseException) -> None:
        self.error, self.parts = error, [b"x" * 1000]

    def read(self, size: int = -1) -> Any:
        if not self.parts:
            raise self.error
        return self.parts.pop()


@pytest.mark.parametrize(
    ("source", "error"),
    [
        ("missing", FileNotFoundError),
        (".", IsADirectoryError),
        (_Broken(OSError(5, "the disk of the source")), OSError),
        (_Broken(KeyboardInterrupt()), KeyboardInterrupt),
        (io.StringIO("text"), TypeError),
    ],
)
def test_errors_of_the_source_are_raised(tmp_path: Path, source: Any, error: type[BaseException]) -> None:
    """The error of a source that cannot be read is raised, and no copy remains."""
    with pytest.raises(error) as raised:
        copier(tmp_path).copy(source, "f")
    assert not isinstance(raised.value, CopyNotWritten)
    assert files(tmp_path) == {}


def test_copies_are_limited(tmp_path: Path) -> None:
    """Copies that wait use at most half of the limit of the journal."""
    copies = copier(tmp_path)
    source = tmp_path / "source"
    source.write_bytes(b"x" * 200_000)
    streams: Iterator[Any] = (io.BytesIO(b"x" * 200_000) for _ in range(60))
    for one in (source, b"x" * 200_000, next(streams)):
        copies.copy(one, "f")
    for one in (source, b"x" * 200_000, *streams):
        with pytest.raises(CopyNotWritten, match=r"take half of journal_max_bytes"):
            copies.copy(one, "f")
    assert (disk_usage.own_bytes(tmp_path, {}), disk_usage.copied_bytes(tmp_path)) == (0, 600_000)
    for name in list(files(tmp_path)):
        artifact_copies.delete_copy([tmp_path], f"artifacts/{name}")
    copies.recheck_space()
    copies.copy(source, "f")
    assert str(CopyNotWritten(FULL)) == "copies of files that wait take half of journal_max_bytes"


def test_one_file_of_any_size(tmp_path: Path) -> None:
    """A file that is larger than the limit is copied if no other copy waits."""
    copier(tmp_path).copy(b"x" * 3_000_000, "model")
    assert list(map(len, files(tmp_path).values())) == [3_000_000]


def test_unused_copies_are_deleted(tmp_path: Path) -> None:
    """Old copies that no line names are deleted. Copies of lines, new ones and files of the user are not."""
    entries = {
        key: f"{number:012x}-f" for number, key in enumerate(["named", "young", "mine", "linked", "old"])
    }
    for entry in entries.values():
        artifact_copies.write_copy(tmp_path, f"artifacts/{entry}", [b"x" * 4096])
        os.utime(tmp_path / "artifacts" / entry, (0, 0))
    os.utime(tmp_path / "artifacts" / entries["young"])
    os.chmod(tmp_path / "artifacts" / entries["mine"], 0o644)
    os.link(tmp_path / "artifacts" / entries["linked"], tmp_path / "a name of the user")
    (tmp_path / "artifacts" / "notes").write_text("mine")
    (tmp_path / "20260101T000000-gone-999999-0a0b01.jsonl").write_bytes(
        line(r"{\"file\": \"artifacts/" + entries["named"] + r"\"}")
    )
    (tmp_path / "20260101T000000-gone-999999-0a0b02.jsonl").symlink_to("/dev/null")
    assert disk_usage.delete_unused_copies(tmp_path) == 4096
    assert files(tmp_path).keys() == {*entries.values(), "notes"} - {entries["old"]}


def test_unused_copies_make_space(tmp_path: Path) -> None:
    """Copies of killed processes are deleted to make space for a new copy."""
    artifact_copies.write_copy(tmp_path, NAME, [b"x" * 600_000])
    os.utime(tmp_path / NAME, (0, 0))
    copier(tmp_path).copy(b"x" * 100_000, "f")
    assert [len(content) for content in files(tmp_path).values()] == [100_000]
