"""The artifacts of runs: their names and their bytes.

In: names as clients choose them, bytes. Out: artifacts by run, `artifacts.jsonl`.
The bytes lie in `artifacts/` under the hash of the artifact's name; addresses carry this hash, never the name.
"""

from __future__ import annotations

import hashlib
import re
import threading
from pathlib import Path
from typing import NamedTuple

from amllog.local.http.request import Refusal
from amllog.local.storage import BlobFiles, JsonLinesFile, read_lines

PATH_MAX = 5000
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class Artifact(NamedTuple):
    """One artifact: the container it is in, its name there, its size and the file that has its bytes."""

    origin: str
    container: str
    path: str
    size_bytes: int
    file: Path

    @property
    def artifact_id(self) -> str:
        """Its id as Azure ML writes it."""
        return f"{self.origin}/{self.container}/{self.path}"


class ArtifactStore:
    """All artifacts by id; safe to use from any thread."""

    def __init__(self, directory: Path) -> None:
        self._lock = threading.Lock()
        self._blobs = BlobFiles(directory / "artifacts")
        self._known: dict[str, tuple[str, str, str]] = {}
        for line in read_lines(directory.glob("artifacts.jsonl")):
            self._known[line["key"]] = (line["origin"], line["container"], line["path"])
        self._lines = JsonLinesFile(directory / "artifacts.jsonl")

    def close(self) -> None:
        """No more artifacts."""
        self._lines.close()

    def create(self, origin: str, container: str, path: str) -> str:
        """Make an empty artifact; its key. A `Refusal` if the name is bad or its bytes are there already."""
        check_path(path)
        key = self.key(origin, container, path)
        with self._lock:
            if self._blobs.size(key) >= 0:
                artifact_id = f"{origin}/{container}/{path}"
                raise Refusal(409, f"Resource Conflict: ArtifactId {artifact_id} already exists.")
            if key not in self._known:
                self._known[key] = (origin, container, path)
                self._lines.append([{"key": key, "origin": origin, "container": container, "path": path}])
        return key

    @staticmethod
    def key(origin: str, container: str, path: str) -> str:
        """What stands for an artifact in addresses and files."""
        return hashlib.sha256(f"{origin}\n{container}\n{path}".encode("utf-8", "surrogatepass")).hexdigest()

    def find(self, origin: str, container: str, path: str) -> str | None:
        """The key of an artifact that is there."""
        key = self.key(origin, container, path)
        with self._lock:
            return key if key in self._known else None

    def listed(self, origin: str, container: str, prefix: str = "") -> list[Artifact]:
        """The artifacts of a container whose name begins so."""
        with self._lock:
            known = list(self._known.items())
        return [
            Artifact(*name, max(self._blobs.size(key), 0), self._blobs.path(key))
            for key, name in known
            if name[:2] == (origin, container) and name[2].startswith(prefix)
        ]

    def put(self, key: str, body: bytes) -> None:
        """Keep an artifact's bytes."""
        self._blobs.write(key, body)

    def put_block(self, key: str, block: str, body: bytes) -> None:
        """Keep one block of an artifact that comes in several."""
        self._blobs.write(f"{key}\n{block}", body)

    def commit(self, key: str, blocks: list[str]) -> None:
        """Make the artifact of its blocks."""
        names = [f"{key}\n{block}" for block in blocks]
        if any(self._blobs.size(name) < 0 for name in names):
            raise Refusal(400, "The block list names a block that was never put", "InvalidBlockList")
        self._blobs.write(key, b"".join(map(self._blobs.read, names)))
        for name in names:
            self._blobs.path(name).unlink()

    def get(self, key: str) -> bytes:
        """An artifact's bytes."""
        return self._blobs.read(key)

    def size(self, key: str) -> int:
        """How many bytes were put; -1 if none ever."""
        return self._blobs.size(key)


def check_path(path: str) -> None:
    """Refuse an artifact name that could lead a client astray when it downloads it by name."""
    parts = path.replace("\\", "/").split("/")
    if not 0 < len(path) <= PATH_MAX or ".." in parts or _CONTROL.search(path):
        raise Refusal(
            400, f"An artifact name has 1 to {PATH_MAX} characters, no control character and no '..'"
        )
