"""Masks values that are secret because of the name, the header or the option that stands before them.

In: a text. Out: the same text with `***` in place of each value; the name stays visible.
"""

from __future__ import annotations

import re

from amllog.lazy_pattern import LazyPattern
from amllog.provider_secrets import MASK

# Names whose value is a secret, in lower case. `key` alone is not one: it needs one of the words before it.
_QUALIFIED_KEY = (
    r"(?:account|access|api|shared|private|storage|subscription|primary|secondary|signing|encryption"
    r"|instrumentation|client|secret|hmac|functions?|host|master|auth|service|app|consumer|admin|deploy|db|database)"
    r"[-_ ]{0,2}(?:access[-_ ]?)?(?:key|secret)(?:[-_]?data)?"
    r"|\b(?:cl(?:ou(?:d|dant)?)?|softlayer|sl|ibm|iam|cos)[-_]*(?:(?:cloud|iam|api|cos|hmac|secret)[-_]*){0,3}(?:key|pwd?|pass|token)"
)
_NAMES = (
    rf"{_QUALIFIED_KEY}|passwords?|passwd|passphrase|passcode|(?<![a-z])(?:api)?pwd|(?<![a-z])apipass|(?<=[_'\"-])pass|secret|token"
    r"|authorization|credentials?|creds|_auth|(?<=_)pat"
)
_QUOTE = r"(?:\\*[\"']|&(?:quot|apos|\#3[49]|\#x2[27]);|%2[27])"
_EQUALS = r"\s*(?:=>|:=|::|={1,3}|:|%3[ad]|\\+u003[ad])\s*"
_SCHEME = r"(?:(?:bearer|basic|token|sharedkey(?:lite)?|apikey|bot|ntlm|negotiate)\s+)?"
_HEADERS = (
    r"authorization|proxy-authorization|x-api-key|api-key|apikey|(?:set-)?cookie|ocp-apim-subscription-key"
    r"|x-functions-key|x-[a-z-]{1,30}-(?:key|token)|password|passwd|token"
)
_OPTIONS = r"password|passwd|passphrase|passcode|pwd|pass|secret|token|(?:api|access|account|client|storage|shared|subscription)-?(?:key|secret)|credentials?"
# Letters of both cases and a digit without separators: no word, no number, no hexadecimal digest.
_RANDOM = r"(?=\\*[\"']?(?=[A-Za-z+/]{0,40}[0-9])(?=[a-z0-9+/]{0,40}[A-Z])(?=[A-Z0-9+/]{0,40}[a-z])[A-Za-z0-9+/=]{20})"

_RANDOM_TEXT = LazyPattern(_RANDOM)

_NAMED = LazyPattern(
    rf"""
      (?P<keep>
          (?i:\bbearer\s+)(?=[A-Za-z0-9._~+/=-]{{8}})(?![a-z]{{8,19}}(?![A-Za-z0-9._~+/=-]))
        | (?i:\bbasic\s+)(?=[A-Za-z0-9+/]{{8}})(?=[^\sa-z]*[a-z][^\sA-Z0-9]*[A-Z0-9])
        | (?i:[?&;\s"']sig=(?!\d[\d.]{{0,7}}(?![^\s&,;)]))|^sig=(?!\d[\d.]{{0,7}}(?![^\s&,;)]))|%(?:3f|26)sig%3d|(?:[?&]|x-(?:amz|goog)-)signature=)
        | (?i:[?&]code=)(?=[^\s&"']{{8}})(?![0-9]+(?![^\s&])|[a-z_]+(?![^\s&]))
        | [?&]key=(?=[A-Za-z0-9_-]{{16}})
        | (?i:(?:{_NAMES}){_QUOTE}?\]?(?::\s{{0,9}}(?:str|bytes|string)\s{{0,9}})?{_EQUALS}{_SCHEME})
        | (?i:<[\w:.-]{{0,40}}(?:{_OPTIONS})>)
        | (?i:(?<![A-Za-z0-9])--?[\w-]{{0,30}}(?:{_OPTIONS})(?:["']\s*,\s*|\s+))(?=[^\s,:=-])(?!["']?[0-9.]+["']?(?![^\s,\]]))
        | (?i:\(\s*b?["'](?:{_HEADERS})["']\s*,\s*)
        | (?i:(?:{_OPTIONS}){_QUOTE}\s{{0,9}},?\s{{0,9}}{_QUOTE}?value{_QUOTE}?\s*[:=]\s*)
        | (?i:\blogin\s+\S{{1,64}}\s+password\s+)
        | (?i:\b(?:login|sshpass|mysql\w{{0,9}}|mongo\w{{0,9}}|sqlcmd|bcp)\b[^\n|;]{{0,200}}?[\s"']-p["']?[,=]?\s*)(?=[^\s-])
        | (?i:\bcurl\b[^\n|]{{0,200}}?[\s"'](?:-u|--user|--proxy-user)["']?[,=\s]\s*["']?)[^\s:"']{{0,64}}:
        | (?i:\b(?:login|log_in|auth\w{{0,20}}|connect|configure|\w{{0,20}}(?:client|credential))\([^()\n]{{0,120}}?\bkey\s*=\s*)
          (?=["'][^"']{{6}}|[A-Za-z_]*[0-9][^\s,)]{{5}})
        | (?i:(?<![a-z])key["']?\]?\s*(?:::|[=:])\s*){_RANDOM}
        | (?i:\b(?:aws|secret)[\w.:-]{{0,24}}[\s=:'"]{{1,3}})(?=[A-Za-z0-9/+]{{0,39}}[0-9])(?=[A-Za-z0-9/+]{{40}}(?![A-Za-z0-9/+=]))
        | (?i:\baws[^\n]{{0,20}}?(?:key|pwd?|pass|token)[^\n]{{0,26}}?["'])(?=[A-Za-z0-9/+]{{40}}["'])
        | (?i:\btoken\s+)(?=[a-z2-7]{{52}}(?![a-z0-9]))
        | (?i:["']auth["']\s*:\s*)(?=["'][A-Za-z0-9+/=]{{8}})
        | (?i:\bauth\s*=\s*)(?=\()
        | ://(?=[^/\s:@]{{16,}}(?::[^/\s@]*)?@)
        | ://[^/\s:@]*:(?=[^/\s@]+@)
      )
      (?P<value>
          (?:[bBrRuUfF]{{1,2}}(?=\\*["']))?(?:[A-Za-z_][\w.]{{0,40}}\(b?(?=["']))?
          (?:\\+"[^"\n]*"|"(?:[^"\\\n]|\\.)*"?|\\+'[^'\n]*'|'(?:[^'\\\n]|\\.)*'?)
        | &(?:quot|apos|\#3[49]|\#x2[27]);[^&\n]*
        | (?<==)\s*\{{(?:[^}}\n]|\}}\}})*\}}?
        | \[[^\]\n]*\]?|\([^)\n]*\)?
        | (?:[|>][+-]?\s*\n\s+)\S+
        | (?<=[:/])[^\s/@]+(?:@[^\s/"'<>@]+)*(?=@)
        | [^\s"'<>;,&(){{}}\[\]]+(?:[;,&(){{}}](?![\w.\ -]{{0,40}}[=:])[^\s"'<>;,&(){{}}\[\]]+)*
      )
    | (?P<pem>-{{4,5}}\ ?BEGIN\ [A-Z0-9 ]{{0,40}}PRIVATE\ KEY(?:\ BLOCK)?\ ?-{{4,5}}
          .*?(?:-{{4,5}}\ ?END\ [A-Z0-9 ]{{0,40}}PRIVATE\ KEY(?:\ BLOCK)?\ ?-{{4,5}}|\Z))
    | (?P<putty>PuTTY-User-Key-File-[0-9].*?(?:Private-MAC:\ ?\w*|\Z))
    """,
    re.VERBOSE | re.DOTALL,
)
_COMMANDS = ("login", "mysql", "mongo", "sqlcmd", "bcp")
_CORE = (
    r"(?:(?:key|secret)[-_]?(?:data)?|passwords?|passwd|passphrase|passcode|pwd?|pass|token|authorization"
    r"|credentials?|creds|auth|pat|cookies?)"
)
# A text in lower case must match this before the expressions above and below are tried. They cost ten times as much.
_LIKELY = LazyPattern(
    rf"""{_CORE}(?:{_QUOTE}?\]?{_EQUALS}|{_QUOTE}?\]?\s*:\s*(?:str|bytes)|{_QUOTE}\s{{0,9}},?\s{{0,9}}{_QUOTE}?value|{_QUOTE}\s*,|>)
    | -[\w-]{{0,30}}{_CORE}(?:["']\s*,|\s)
    | (?:bearer|basic)\s | sig(?:nature)?(?:=|%3d) | [?&]code= | ://[^/\s@]*@ | <cookie\s
    | (?:{"|".join(_COMMANDS)})[^\n|;]{{0,200}}?[\s"']-p | login\s+\S{{1,64}}\s+password\s
    | curl\b[^\n|]{{0,200}}?[\s"'](?:-u|--user|--proxy-user)
    | (?:aws|secret)[\w.:-]{{0,24}}[\s=:'"]{{1,3}}[a-z0-9/+]{{40}}
    | aws[^\n]{{0,20}}?(?:key|pwd?|pass|token)[^\n]{{0,26}}?["'][a-z0-9/+]{{40}}["'] | token\s+[a-z2-7]{{52}}
    | begin\ [a-z0-9\ ]{{0,40}}private\ key | putty-user-key-file-
    """,
    re.VERBOSE,
)
_COOKIES = LazyPattern(
    r"""(?i:(?P<keep>\b(?:set-)?cookies?\\*["']?\s*[:=]\s*b?|<cookie\s))
    (?P<value>\\*"[^"\n]+"?|\\*'[^'\n]+'?|\{[^}\n]*\}?|[^\s"'=]{1,200}=[^\n"'>]*)""",
    re.VERBOSE,
)
_OPENING = LazyPattern(r"[bBrRuUfF]{0,2}\\*[\"']|[\[({]|&[a-z0-9#]+;")
# Not a secret: a number under `token` is a count, `<pad>` is a token of a vocabulary, `str` is a type.
_COUNT = LazyPattern(r"[\"']?(?:[0-9][0-9_.,e+-]*|[\[<][^\]>]{0,20}[\]>]|'?#{0,2}\w?'?)[\"']?")
_STATE = LazyPattern(
    r"(?:None|null|nil|[Tt]rue|[Ff]alse|str|bytes|string|int|Optional|required|missing|invalid|expired|failed"
    r"|denied|\w{0,40}Credentials?|\*{3,})"
)


def mask(said: str) -> str:
    """`said` with every value masked that stands behind a name of a secret."""
    lowered = said.lower()
    if not _has_a_word(lowered) or _LIKELY.search(lowered) is None:
        return said
    if "cookie" in lowered:
        said = _COOKIES.sub(_replaced, said)
    return _NAMED.sub(_replaced, said)


def is_random(value: str) -> bool:
    """Whether a text begins with 20 characters as a generator of keys makes them."""
    return _RANDOM_TEXT.match(value) is not None


def _has_a_word(lowered: str) -> bool:
    """Return whether a text in lower case has one of the words that `_LIKELY` needs. Plain searches are the fastest.

    Words that share a rare letter are searched only in a text that has this letter.
    """
    return (
        ("k" in lowered and ("key" in lowered or "token" in lowered or "cookie" in lowered))
        or ("w" in lowered and ("pw" in lowered or "aws" in lowered))
        or ("b" in lowered and ("bearer" in lowered or "basic" in lowered))
        or ("c" in lowered and ("secret" in lowered or "cred" in lowered or "curl" in lowered))
        or "pass" in lowered
        or "auth" in lowered
        or "_pat" in lowered
        or ("@" in lowered and "://" in lowered)
        or ("=" in lowered and ("sig" in lowered or "code=" in lowered))
        or ("%" in lowered and "sig%3d" in lowered)
        or (" -p" in lowered and any(command in lowered for command in _COMMANDS))
    )


def mask_in_name(said: str) -> str:
    """As `mask`, but a word behind a colon belongs to the name: `f1 per token: macro`."""
    return _NAMED.sub(_replaced_in_name, said)


def _replaced(match: re.Match[str]) -> str:
    keep, value = match.group("keep"), match.group("value")
    if keep is None:
        return MASK
    if _is_harmless(keep.lower(), value, match):
        return match.group()
    opening = _OPENING.match(value)
    start = opening.group() if opening else ""
    end = {"[": "]", "(": ")", "{": "}"}.get(start, start.lstrip("bBrRuUfF"))
    return f"{keep}{start}{MASK}{end}"


def _is_harmless(keep: str, value: str, match: re.Match[str]) -> bool:
    if keep.endswith("://") or (keep.startswith("://") and keep.endswith(":")):
        return False
    name = keep.rstrip(" \t=:>\"'")
    if _STATE.fullmatch(value):
        return True
    if name.endswith("token"):
        before = match.string[max(0, match.start() - 4) : match.start()]
        return bool(_COUNT.fullmatch(value)) or (before == "per " and value.isalpha())
    if name.endswith("pwd"):
        return value.startswith("/") and (match.group("keep").startswith("PWD=") or "/" in value[1:])
    if name.endswith("key") and name.startswith(("primary", "secondary", "host", "master", "service", "app")):
        return value.strip("\"'").isidentifier() and not any(one.isdigit() for one in value)
    return name.endswith("pass") and value.strip("\"'").isalnum() and not any(one.isalpha() for one in value)


def _replaced_in_name(match: re.Match[str]) -> str:
    keep = match.group("keep") or ""
    if keep.rstrip().endswith(":") and not keep.startswith("://") and match.group("value").isalpha():
        return match.group()
    return _replaced(match)
