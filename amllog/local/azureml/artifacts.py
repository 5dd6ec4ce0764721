"""The stored artifacts of runs.

The names are in `artifacts.jsonl`. The bytes are in `artifacts/` under the hash of the artifact's name, and addresses
contain this hash instead of the name.
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
    """One artifact: its container, its name in it, its size and the file with its bytes."""

    origin: str
    container: str
    path: str
    size_bytes: int
    file: Path

    @property
    def artifact_id(self) -> str:
        """The id in the format of Azure ML."""
        return f"{self.origin}/{self.container}/{self.path}"


class ArtifactStore:
    """All artifacts by id. All methods are thread-safe."""

    def __init__(self, directory: Path) -> None:
        self._lock = threading.Lock()
        self._blobs = BlobFiles(directory / "artifacts")
        self._known: dict[str, tuple[str, str, str]] = {}
        for line in read_lines(directory.glob("artifacts.jsonl")):
            self._known[line["key"]] = (line["origin"], line["container"], line["path"])
        self._lines = JsonLinesFile(directory / "artifacts.jsonl")

    def close(self) -> None:
        """Close the file of names."""
        self._lines.close()

    def create(self, origin: str, container: str, path: str) -> str:
        """Create an empty artifact and return its key. Raises `Refusal` if the name is invalid or has bytes already."""
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
        """Return the key of an artifact, which replaces its name in addresses and files."""
        return hashlib.sha256(f"{origin}\n{container}\n{path}".encode("utf-8", "surrogatepass")).hexdigest()

    def find_key(self, origin: str, container: str, path: str) -> str | None:
        """Return the key of an artifact, or None if it does not exist."""
        key = self.key(origin, container, path)
        with self._lock:
            return key if key in self._known else None

    def list_container(self, origin: str, container: str, prefix: str = "") -> list[Artifact]:
        """Return the artifacts of a container whose name begins with `prefix`."""
        with self._lock:
            known = list(self._known.items())
        return [
            Artifact(*name, max(self._blobs.size(key), 0), self._blobs.path(key))
            for key, name in known
            if name[:2] == (origin, container) and name[2].startswith(prefix)
        ]

    def write(self, key: str, body: bytes) -> None:
        """Write the bytes of an artifact."""
        self._blobs.write(key, body)

    def add_file(self, origin: str, container: str, path: str, file: Path) -> bool:
        """Add a file of this machine, unless an artifact with bytes has its name. Return whether it was added.

        Raises `Refusal` if the name is invalid, and OSError if the file cannot be read.
        """
        key = self.key(origin, container, path)
        if self._blobs.size(key) >= 0:
            return False
        self._blobs.add(self.create(origin, container, path), file)
        return True

    def write_block(self, key: str, block: str, body: bytes) -> None:
        """Write one block of an artifact that is uploaded in blocks."""
        self._blobs.write(f"{key}\n{block}", body)

    def commit(self, key: str, blocks: list[str]) -> None:
        """Join the blocks of an artifact. Raises `Refusal` if one is missing."""
        names = [f"{key}\n{block}" for block in blocks]
        if any(self._blobs.size(name) < 0 for name in names):
            raise Refusal(400, "The block list names a block that was not uploaded", "InvalidBlockList")
        self._blobs.join(key, names)

    def read(self, key: str) -> bytes:
        """Return the bytes of an artifact."""
        return self._blobs.read(key)

    def size(self, key: str) -> int:
        """Return the size of an artifact in bytes, or -1 if it was not uploaded."""
        return self._blobs.size(key)


def check_path(path: str) -> None:
    """Reject a name that a client could download to a path outside of its directory."""
    parts = path.replace("\\", "/").split("/")
    if not 0 < len(path) <= PATH_MAX or ".." in parts or _CONTROL.search(path):
        raise Refusal(
            400, f"An artifact name has 1 to {PATH_MAX} characters, no control character and no '..'"
        )
