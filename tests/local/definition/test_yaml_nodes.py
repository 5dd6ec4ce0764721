"""Tests of YAML documents with lines."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings, strategies as st

from amllog.local.definition.yaml_nodes import MAX_BYTES, YamlMap, parse_yaml, plain, read_yaml, scalars

PATH = Path("a.yml")
TAB = "found character '\\t' that cannot start any token"
COLON = "mapping values are not allowed here"


def messages(text: str) -> list[str]:
    """Return the findings of a text."""
    return [str(finding) for finding in parse_yaml(text, PATH).findings]


@pytest.mark.parametrize(
    "text",
    [
        "a: 1\nb: [x, 0.5, true, null, ~, 'on']\nc: {d: 0x1F, e: 017, f: 1_000, g: 0b11, h: -5, i: +3}",
        "base: &b {x: 1, y: 2}\nderived:\n  <<: *b\n  y: 3\nlist:\n  <<: [{p: 1}, {p: 2, q: 3}]",
        "t: 12:30:00\nf: 1e3\ng: 1.5e+3\nh: .5\ni: -.inf\nj: 1:30.5\nk: yes\nl: Off",
        'folded: >-\n  a\n  b\nliteral: |\n  a\n  b\nplain: a\n  b\nempty:\nquoted: "\\u00e9"',
        "1: one\n2.5: two",
        "- a\n- {b: c}\n- [d]",
        "",
    ],
)
def test_values_are_those_of_safe_load(text: str) -> None:
    """All values are the values of PyYAML's safe_load, whose keys are strings here."""
    expected = yaml.safe_load(text)
    if isinstance(expected, dict):
        expected = {str(key): value for key, value in expected.items()}
    assert plain(parse_yaml(text, PATH).root) == expected
    assert messages(text) == []


def test_nodes_know_their_lines() -> None:
    """Keys and values have the number of their line, counted from 1."""
    root = parse_yaml("a: 1\n\nb:\n  - x\n  -  y\nc: >\n  m\n  n\n", PATH).root
    assert isinstance(root, YamlMap)
    assert {key: str(line) for key, line in root.key_positions.items()} == {
        "a": "a.yml:1", "b": "a.yml:3", "c": "a.yml:6",
    }  # fmt: skip
    assert [(node.value, node.position.line) for node in scalars(root)] == [
        (1, 1), ("x", 4), ("y", 5), ("m n\n", 6),
    ]  # fmt: skip


def test_dates_stay_strings() -> None:
    """A date is a string as it is written."""
    assert plain(parse_yaml("a: 2024-01-01", PATH).root) == {"a": "2024-01-01"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: 1\nb: 2\na: 3\n", "a.yml:3: duplicate key 'a': it is also in line 1"),
        ("x:\n\t- a\n", f"a.yml:2: invalid YAML: {TAB}. Indent with spaces, not with tabs"),
        ("a: b: c\n", f"a.yml:1: invalid YAML: {COLON}. Quote a value that contains ': '"),
        ("a: 1\nb: !!python/object:os.system x\n",
         "a.yml:2: the tag 'tag:yaml.org,2002:python/object:os.system' is not allowed"),
        ("a: !!int x\n", "a.yml:1: the value 'x' is not of the type 'int'"),
        ("? [a]\n: b\n", "a.yml:1: a key is a list or a mapping: allowed is a string"),
        (
            "x: 1\na: {{parent.outputs.x}}\n",
            "a.yml:2: a key is a list or a mapping: allowed is a string. An expression begins with '${{'",
        ),
        ("a:\n  on: 1\n", "a.yml:2: YAML reads the key on as the boolean True: write 'on'"),
        ("a: &x [*x]\n", "a.yml:1: the document has more than 100 levels, with its aliases"),
        ("a: 1\n---\nb: 2\n", "a.yml:2: a second document begins here: write each one to a file of its own"),
        ("a: 1\nb: \x07\n", "a.yml:2: invalid character '\\x07'"),
        ("{a: " * 5000, "a.yml:1: the document has more than 100 levels"),
        ("<<: x\n", "a.yml:1: the value of << is not a mapping"),
    ],
)  # fmt: skip
def test_mistakes_have_a_line(text: str, expected: str) -> None:
    """Each invalid document gives one finding with its line."""
    assert messages(text) == [expected]


def test_aliases_cannot_expand_to_billions() -> None:
    """A document of nested aliases is rejected after a bounded number of values."""
    levels = "".join(
        f"{new}: &{new} [{', '.join(['*' + old] * 9)}]\n" for old, new in zip("abcdefgh", "bcdefghi")
    )
    assert "50,000 values" in messages("a: &a [x]\n" + levels)[0]


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    """Missing, foreign, large and badly encoded files give a finding."""
    path = tmp_path / "a.yml"
    assert read_yaml(path).findings[0].message == "the file does not exist"
    assert read_yaml(tmp_path).findings[0].message == "is not a file"
    path.write_bytes(b"a: 1\nb: \xe9\n")
    assert str(read_yaml(path).findings[0]) == f"{path}:2: byte 0xe9 is not UTF-8: save the file as UTF-8"
    path.write_bytes(b"x" * (MAX_BYTES + 1))
    assert read_yaml(path).findings[0].message == "the file has more than 1,000,000 bytes"
    path.write_bytes(b"\xef\xbb\xbfa: 1\r\nb: 2\r\n")
    assert plain(read_yaml(path).root) == {"a": 1, "b": 2}


@settings(max_examples=60, deadline=None)
@given(st.text(alphabet="ab:-[]{}&*!|>'\"#% \n\t,0x_.<?~é\x00\ufeff\ud800", max_size=40))
def test_no_document_raises(text: str) -> None:
    """Any text gives a document, and its values are those of safe_load if that reads it."""
    document = parse_yaml(text, PATH)
    if not document.findings:
        try:
            expected = yaml.safe_load(text)
        except (yaml.YAMLError, ValueError, RecursionError):
            return
        if not isinstance(expected, (dict, list)) and not (
            isinstance(expected, float) and math.isnan(expected)
        ):
            assert plain(document.root) == expected
