"""The public rules of detect-secrets: what they find in a text is masked. A new release shows what is missing here."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from detect_secrets.core.plugins.util import get_mapping_from_secret_type_to_class
from detect_secrets.plugins.base import RegexBasedDetector
from hypothesis import HealthCheck, Phase, assume, given, settings, strategies as st

from amllog.record.redaction import Redactor

ASCII = st.characters(min_codepoint=32, max_codepoint=126)
UNHURRIED: Any = {"suppress_health_check": list(HealthCheck)}
SHORTEST = 16  # of a random value: no provider documents a shorter one
# Rules that are not followed, with the reason.
LEFT_OUT = {
    "IPPublicDetector": "an address is no secret",
    "PrivateKeyDetector": "the rule is the first line of a key, which holds nothing of it",
    "JwtTokenDetector": "it accepts valid tokens only, which no pattern makes; test_redaction has them",
    "KeywordDetector": "a list of names for source code; test_secret_kinds has ours",
    "Base64HighEntropyString": "by entropy alone, hashes and run ids are secrets",
    "HexHighEntropyString": "by entropy alone, hashes and run ids are secrets",
}
LOOSE = re.compile(
    r"\\"  # a backslash, which a rule takes by mistake
    r"|^.?A(?:KC.{0,12}|P.{0,13}).?$"  # shorter than SHORTEST; an Artifactory key has 73 characters
    r"|^\W*[-_]*[kK][eE][yY]"  # `key` alone says nothing: test_secret_kinds has what looks random
    r"|^.?AP[A-Za-z]*.?$"  # an encrypted password without a digit is a word
    r"|^xox.-.{0,15}$"  # no token of Slack is so short
    r"|services/T[^/]?/"  # no identifier of a workspace is so short
)
# Rules by name, which also take `password  "word"`, as prose has it: here only with a sign of assignment.
PROSE = {"CloudantDetector", "IbmCloudIamDetector", "IbmCosHmacDetector", "SoftlayerDetector"}
KINDS: dict[str, Any] = {kind.__name__: kind for kind in get_mapping_from_secret_type_to_class().values()}


def rules() -> Iterator[Any]:
    """Each rule that is a pattern: its detector and the pattern, as its provider spells it."""
    for name, kind in sorted(KINDS.items()):
        if name not in LEFT_OUT:
            for number, pattern in enumerate(kind.denylist):
                flags = pattern.flags & ~re.IGNORECASE
                strict = pattern.pattern.replace("api.softlayer.com", r"api\.softlayer\.com")
                strict = strict.replace("v3.1", r"v3\.1")  # as the rule is meant
                yield pytest.param(kind(), re.compile(strict, flags), id=f"{name}-{number}")


def test_every_detector_is_a_pattern_or_left_out() -> None:
    """A detector of another kind in a new release is not passed over in silence."""
    assert {name for name, kind in KINDS.items() if not issubclass(kind, RegexBasedDetector)} <= set(LEFT_OUT)
    assert set(LEFT_OUT) <= set(KINDS)


@pytest.mark.parametrize(("detector", "pattern"), rules())
def test_what_a_rule_finds_is_masked(detector: Any, pattern: re.Pattern[str]) -> None:
    """No value that the detector finds in a text of its pattern is left in the masked text."""
    mask, checked, name = Redactor().mask, [], type(detector).__name__

    @settings(max_examples=30, deadline=None, derandomize=True, phases=[Phase.generate], **UNHURRIED)
    @given(st.from_regex(pattern, fullmatch=True, alphabet=ASCII))
    def check(said: str) -> None:
        found = list(detector.analyze_string(said))
        assume(found and not LOOSE.search(said))
        found = [value for value in found if len(value) >= SHORTEST] or [said]  # some report the prefix only
        assume(name not in PROSE or "=" in said or ":" in said)
        checked.append(said)
        masked = mask(said)
        assert [value for value in found if value in masked] == [], masked

    check()
    assert checked
