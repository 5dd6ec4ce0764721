"""Tests of the documents: code blocks run, links and named paths have targets, and the settings page is up to date.

A comment before a block marks special blocks:

* `<!-- file: train.py -->`: it is saved under that name, and runs when a later block starts it.
* `<!-- exit: 1 -->`: it ends with this code.
* `<!-- exit from 3.13: 1 -->`: it ends with this code on Python 3.13 and newer, and with 0 on older versions.
* `<!-- not run: reason -->`: it is not run.

The blocks of one document run in order, in one folder, each in a separate process.
"""

from __future__ import annotations

import os
import re
import runpy
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parent.parent
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").rglob("*.md")])
BLOCK = re.compile(
    r"(?:<!-- (?P<note>[^\n]*?) -->\n)?```(?P<kind>[^\n]*)\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL
)
# A path in backticks, whose end may be the name of a test.
PATH = re.compile(r"`([\w-]+(?:/[\w.-]+)+/?)(?:::\w+)?`")
NOT_PATHS = {"docs/decisions/NNNN-title.md", "record/redaction/"}  # a pattern, and a folder that was rejected
RUN = ("python", "bash", "console", "sh")
MAX_NOT_RUN = 12


class Block(NamedTuple):
    """A fenced code block with the comment before it."""

    line: int
    kind: str
    code: str
    rule: str
    reason: str


def blocks(document: Path) -> list[Block]:
    """Return the Python and shell blocks of a document."""
    text = document.read_text(encoding="utf-8")
    matches = []
    for match in BLOCK.finditer(text):
        rule, _, reason = (match["note"] or "").partition(": ")
        if rule == "exit from 3.13":
            rule, reason = "exit", reason if sys.version_info >= (3, 13) else "0"
        rule = rule if rule in ("file", "exit", "not run") else ""
        matches.append(
            Block(text.count("\n", 0, match.start()) + 1, match["kind"].strip(), match["code"], rule, reason)
        )
    return [block for block in matches if block.kind in RUN or block.rule]


def commands(block: Block) -> str:
    """Return the shell commands of a block. With prompts, these are the lines after `$ `."""
    if block.kind != "console":
        return block.code
    return "\n".join(line[2:] for line in block.code.splitlines() if line.startswith("$ "))


ids = [str(document.relative_to(ROOT)) for document in DOCUMENTS]


@pytest.mark.parametrize("document", DOCUMENTS, ids=ids)
def test_code_blocks_run(document: Path, child, tmp_path: Path) -> None:
    """Every Python and shell block of the document runs without network, with the expected exit code."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    for block in blocks(document):
        if block.rule == "not run":
            continue
        if block.rule == "file":
            (tmp_path / block.reason).write_text(block.code, encoding="utf-8")
            continue
        command = (
            block.code if block.kind == "python" else ["bash", "-euo", "pipefail", "-c", commands(block)]
        )
        ran = child(command, env={"PATH": path}, timeout=900)
        expected = int(block.reason) if block.rule == "exit" else 0
        assert ran.returncode == expected, f"{document.name}:{block.line}\n{ran.stdout}\n{ran.stderr}"


def test_blocks_that_are_not_run_have_a_reason() -> None:
    """Few blocks are not run, and each has a reason."""
    silent = [(d.name, b) for d in DOCUMENTS for b in blocks(d) if b.rule == "not run"]
    assert [(name, block.line) for name, block in silent if len(block.reason) < 10] == []
    assert len(silent) <= MAX_NOT_RUN


@pytest.mark.parametrize("document", DOCUMENTS, ids=ids)
def test_links_have_targets(document: Path) -> None:
    """Every relative link in the document names a file of the repository."""
    targets = re.findall(r"\]\((?![a-z]+:|#)([^)#\s]+)", document.read_text(encoding="utf-8"))
    assert [target for target in targets if not (document.parent / target).exists()] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=ids)
def test_named_paths_exist(document: Path) -> None:
    """Every file, folder and module of the repository that the document names exists."""
    bases = (ROOT, ROOT / "amllog")
    folders = {path.name for base in bases for path in base.iterdir() if path.is_dir()}
    names = [name for name in PATH.findall(document.read_text(encoding="utf-8")) if name not in NOT_PATHS]
    missing = [
        name
        for name in names
        if name.partition("/")[0] in folders
        # A module may have the name of a function behind it: `process/interrupts.finish`.
        and not any(
            (base / form).exists() for base in bases for form in (name, name.partition(".")[0] + ".py")
        )
    ]
    assert missing == []


def test_settings_page_is_up_to_date() -> None:
    """docs/settings.md equals the output of `make docs`."""
    page = runpy.run_path(str(ROOT / "docs" / "make_settings.py"))["page"]
    assert (ROOT / "docs" / "settings.md").read_text(encoding="utf-8") == page()
