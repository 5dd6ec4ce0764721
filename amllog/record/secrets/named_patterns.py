"""The expressions that find a secret by the name, header, option, command or statement before it.

The module has data only. `named_secrets` applies the expressions. Each is compiled on first use.
"""

from __future__ import annotations

import re

from amllog.record.lazy_pattern import LazyPattern
from amllog.record.secrets.secret_names import IN_TEXT

_QUOTE = r"(?:\\*[\"']|&(?:quot|apos|\#3[49]|\#x2[27]);|%2[27])"
_EQUALS = r"\s*(?:=>|:=|::|!?={1,3}|:|%3[ad]|\\+u003[ad])\s*"
# Between a name and its value may be a type, a scheme, or a tag or an anchor of YAML.
_TYPE = r"(?::\s{0,9}(?:str|bytes|string)\s{0,9})?"
_OPTIONAL = r":\s{0,9}(?:optional\[\w{1,40}\]|\w{1,40}\s{0,9}\|\s{0,9}none)\s{0,9}=\s{0,9}"
_SCHEME = (
    r"(?:(?:bearer|basic|token|sharedkey(?:lite)?|apikey|bot|ntlm|negotiate|ssws|dpop|splunk)\s+"
    r"|!!?[a-z]{1,12}\s+|&[a-z]\w{0,20}\s+)?"
)
_SURE_HEADERS = (
    r"authorization|proxy-authorization|x-api-key|api-key|apikey|(?:set-)?cookie|ocp-apim-subscription-key"
    r"|x-functions-key|x-[a-z-]{1,30}-(?:key|token)"
)
_HEADERS = rf"{_SURE_HEADERS}|password|passwd|token"
_OPTIONS = r"password|passwd|passphrase|passcode|pwd|pass|secret|token|(?:api|access|account|client|storage|shared|subscription)-?(?:key|secret)|credentials?"
# The same names at the end of a variable: `DB_PASSWORD`.
_VARIABLE = r"[\w-]{0,60}(?:password|passwd|passphrase|secret|token|(?:api|access|account|client|storage|shared)[_-]?key)"
# Letters of both cases and a digit without separators: not a word, a number or a hexadecimal digest.
RANDOM = r"(?=b?\\*[\"']?(?=[A-Za-z+/]{0,40}[0-9])(?=[a-z0-9+/]{0,40}[A-Z])(?=[A-Z0-9+/]{0,40}[a-z])[A-Za-z0-9+/=]{20})"
_WORD = r"[A-Z]?[a-z]+[0-9]{0,4}"

NAMED = LazyPattern(
    rf"""
      (?P<keep>
          (?i:\bbearer(?::\s*|\s+))(?=[A-Za-z0-9._~+/=-]{{8}})(?![A-Z]?[a-z]{{3,19}}[0-9]{{0,4}}(?![A-Za-z0-9._~+/=-]))
        | (?i:\bbasic\s+)(?=[A-Za-z0-9+/]{{8}})(?=[^\sa-z]*[a-z][^\sA-Z0-9]*[A-Z0-9])(?!{_WORD}(?![A-Za-z0-9+/=]))
        | (?i:[?&;\s"']sig=(?!\d[\d.]{{0,7}}(?![^\s&,;)]))|^sig=(?!\d[\d.]{{0,7}}(?![^\s&,;)]))|%(?:3f|26)sig%3d|(?:[?&]|x-(?:amz|goog)-)signature=)
        | (?i:\b(?:signature|response)=)(?=["']?[a-f0-9]{{32}})
        | (?i:[?&]code=)(?=[^\s&"']{{12}})(?![0-9]+(?![^\s&])|[A-Za-z_]+(?![^\s&]))
        | (?i:[?&](?:appid|auth)=)(?=[A-Za-z0-9._-]{{0,40}}[0-9])(?=[A-Za-z0-9._-]{{16}})
        | (?i:[?&](?:jwt|(?:client_)?assertion|samlresponse|ticket)=)(?=[A-Za-z_.-]{{0,40}}[0-9])(?=[^\s&"']{{16}})
        | &s=(?=[A-Za-z0-9+/%]{{40}})
        | [?&]key=(?=[A-Za-z0-9_-]{{16}})
        | (?i:(?:{IN_TEXT})(?:{_OPTIONAL}(?=[bru]?["'])|{_QUOTE}?\]?{_TYPE}{_EQUALS}{_SCHEME}))
        | (?i:\bsecret(?:str|bytes)\()(?=b?["'])
        | (?i:<[\w:.-]{{0,40}}(?:(?:{_OPTIONS})|(?:password|passwd|secret)\s[\w:.-]{{1,40}}=["'][^<>\n]{{0,200}})>\s{{0,40}}(?:<!\[CDATA\[)?)
        | (?i:(?<![A-Za-z0-9])--?[\w-]{{0,30}}(?:{_OPTIONS})(?:["']\s*,\s*(?=b?\\*["'])|\s+))(?=[^\s,:=-])(?!["']?[0-9.]+["']?(?![^\s,\]]))
        | (?i:\(\s*b?["'](?:{_HEADERS})["']\s*,\s*)
        | (?i:\[\s*b?["'](?:{_SURE_HEADERS})["']\s*,\s*)(?=b?["'][^"'\n]*["']\s*\])
        | (?i:(?:{_OPTIONS}){_QUOTE}\s{{0,9}},?\s{{0,9}}{_QUOTE}?value{_QUOTE}?\s*[:=]\s*)
        | (?i:\bname:\ {{0,4}}["']?{_VARIABLE}["']?[ \t]{{0,9}}\r?\n\s{{0,40}}value:\ {{0,4}})
        | (?i:\bname=\\*["']{_VARIABLE}\\*["'](?:\r?\n|(?:\\+r)?\\+n){{2}})
        | (?i:(?:{_OPTIONS})\r?\n\s{{1,9}}[^\n]{{0,300}}?\binput_value=)(?=["'])
        | (?i:\bdefine\(\s*["']{_VARIABLE}["']\s*,\s*)(?=["'])
        | \b(?:ENV|setenv)\ +(?i:{_VARIABLE})[ \t]+(?=[^\s=])
        | (?i:\b(?:identified\s+(?:with\s+\S{{1,64}}\s+)?by|(?:with|set|encrypted|(?:role|user|login)\s+\S{{1,64}})\s+password)\s+)(?=N?["'])
        | (?i:\bpassword\s+)(?=["'][^"'\s]{{0,40}}[^a-z"'\s][^"'\s]{{0,40}}["'])
        | (?i:\b(?:password|passwd|passphrase|passcode)\s+(?:is|was)\s+)
          (?=["'`]?(?=[^\s0-9]{{0,40}}[0-9])(?=[0-9]{{0,40}}[^\s0-9])[^\s"'`]{{6}})
        | (?i:\b(?:api[-_ ]?key|access[-_ ]key|secret[-_ ]key|token)\s+(?:(?:is|was)\s+|provided:\s+)|\b(?:api|access|secret)[-_ ]?key\s+(?=[A-Za-z0-9]{{20}})|\busing\s+(?:api[-_ ]?key|access[-_ ]token|token)\s+)
          (?=["'`]?(?=[A-Za-z_-]{{0,60}}[0-9])(?=[0-9_-]{{0,60}}[A-Za-z])[A-Za-z0-9_-]{{16}}[^\s]*)
        | (?i:\b(?:user(?:name)?|login|uid|usr)["']?[\s:=]{{1,3}}[^\s,;/]{{1,64}}[\s,;/]{{1,3}}pass["']?\s*[:=]\s*)
        | (?i:\bbindpw\s+)
        | (?i:-pass(?:in|out)?["']?[\s,]+["']?pass:)
        | (?i:\bhtpasswd\s+-\w{{0,6}}b\w{{0,6}}\s+\S{{1,200}}\s+\S{{1,64}}\s+)
        | (?i:\bvault\s+login\s+)(?=[\w.-]{{0,200}}[0-9])(?!\w+=)
        | (?i:\bconfigure\s+set\s+\w{{0,30}}(?:secret|token|password)\w{{0,30}}\s+)
        | (?i:\bredis-cli\b[^\n|;]{{0,200}}?\s)-a\s+(?=[^\s-])
        | (?i:\bldap\w{{0,12}}\b[^\n|;]{{0,200}}?\s)-w\s+(?=[^\s-])
        | (?i:\b(?:un)?zip\b[^\n|;]{{0,200}}?\s)-P\s*(?=[^\s-])
        | (?i:\bmachine\s+\w[\w-]{{0,64}}\.\S{{1,255}}\s+login\s+\S{{1,64}}\s+password\s+)
        | (?i:\blogin\s+\S{{1,64}}\s+password\s+)(?=[^\s]*[^a-z\s.,:;])
        | (?i:\b(?:login|sshpass|mongo\w{{0,9}}|sqlcmd|bcp|twine|beeline)\b[^\n|;]{{0,200}}?[\s"']-p(?:\\*["']?[,=]\s*|\s+))(?=[^\s-])(?!(?:is|flag|option)\b|[0-9]{{1,5}}(?![^\s"',\]]))
        | (?i:\b(?:login|mongo\w{{0,9}}|sqlcmd|bcp)\b[^\n|;]{{0,200}}?[\s"']-p)(?=[a-z]*[^a-z\s"',=-])
        | (?i:\b(?:mysql\w{{0,9}}|mariadb|sshpass)\b[^\n|;]{{0,200}}?)[\s"']-p(?=[^\s"',=-])(?!(?:ort|rotocol|ager|ipe|lugin-dir)\b)
        | (?i:\bcurl\b[^\n|]{{0,200}}?[\s"'](?:-u|--user|--proxy-user)["']?[,=\s]?\s*["']?)[^\s:"']{{0,64}}:
        | (?i:\bcurl\b[^\n|]{{0,200}}?\s(?:-b|--cookie)[\s=]+)(?=["']?[^\s"'=]{{1,64}}=)
        | (?i:\bhttps?(?=\s)[^\n|]{{0,200}}?\s--auth[\s=]["']?)[^\s:"'/]{{1,64}}:
        | (?i:\bwandb\s+login\s+(?:--?[a-z-]{{1,20}}\s+){{0,4}})(?=[a-f0-9]{{40}})
        | (?i:\badd-authtoken\s+|\bsetapikey\s+)(?=[^\s]*[0-9])
        | (?i:\bauth\s+plain\s+)(?=[A-Za-z0-9+/]*[A-Z0-9][A-Za-z0-9+/]{{7}})
        | (?i:\bunseal\s+key\s+[0-9]{{1,2}}:\s*)
        | (?i:\b(?:login|log_in|auth\w{{0,20}}|connect|configure|\w{{0,20}}(?:client|credential))\([^()\n]{{0,120}}?\bkey\s*=\s*)
          (?=["'][^"']{{6}}|[A-Za-z_]*[0-9][^\s,)]{{5}})
        | (?i:\b(?:http(?:basic|digest|proxy)auth|(?:basic|digest|plain)auth|pscredential|login)\(\s*[bru]?["'][^"'\n]{{0,64}}["']\s*,\s*)(?=[bru]?["'])
        | (?i:\bclient\(\s*["'][^"'\n]{{1,64}}["']\s*,\s*)(?=["'][a-f0-9]{{32}}["'])
        | (?i:\bclient\(\s*)(?=["'][A-Za-z]{{0,40}}[0-9])(?=["'][A-Za-z0-9]{{36,64}}["'])
        | (?i:\bsubscription["']?\s*[=:]\s*)(?=["'](?:[a-f0-9]{{32}}|[A-Za-z0-9]{{84}})["'])
        | (?i:(?<![a-z])key["']?\]?\s*(?:::|[=:])\s*){RANDOM}
        | (?i:["']username["']\s*:\s*["'][^"'\n]{{0,64}}["']\s*,\s*["']key["']\s*:\s*)(?=["'][a-f0-9]{{32}})
        | ["'][dk]["']\s*:\s*{RANDOM}
        | (?i:\bfs\.azure\.(?:account\.key|sas|account\.oauth2\.client\.secret)\.[\w.-]{{1,150}}?\.windows\.net["']?\s*[=,:\s]\s*)
        | (?i:\bfs\.(?:azure\.account\.oauth2\.client\.secret|s3[an]?\.(?:secret\.key|session\.token))["']?\s*[=,:\s]\s*)
        | (?i:\b(?:aws|secret)[\w.:-]{{0,24}}[\s=:'"]{{1,3}})(?=[A-Za-z0-9/+]{{0,39}}[0-9])(?=[A-Za-z0-9/+]{{40}}(?![A-Za-z0-9/+=]))(?![a-f0-9]{{40}})
        | (?i:\baws[^\n]{{0,20}}?(?:key|pwd?|pass|token)[^\n]{{0,26}}?["'])(?=[A-Za-z0-9/+]{{40}}["'])
        | (?i:\btoken\s+)(?=[a-z2-7]{{52}}(?![a-z0-9]))
        | (?i:["']auth["']\s*:\s*)(?=["'][A-Za-z0-9+/=]{{8}})
        | (?i:\bauth\s*=\s*)(?=\()
        | (?i:\b(?:phpsessid|jsessionid|asp\.net_sessionid)=)
        | ://(?=[^/\s:@]{{16,}}(?::[^/\s@]*)?@)
        | ://[^/\s:@]*:(?=[^/\s@]+@)
        | (?i:\bjdbc:oracle:\w{{1,9}}:|\bsqlplus\s+(?:-\w{{1,9}}\s+){{0,3}})[^\s/:@]{{1,64}}/(?=[^\s/@]+@)
        | (?i:\bprox(?:y|ies)\w{{0,10}}["']?[\s=:]{{1,3}}["']?)[^\s:/@"']{{1,64}}:(?=[^\s/@"']+@)
        | (?i:\bnetloc=["'])[^\s:/@"']{{0,64}}:(?=[^\s/@"']+@)
        | (?i:%3a%2f%2f[^\s%/@]{{0,64}}%3a)(?=(?:[^\s%]|%25[0-9A-Fa-f]{{2}}){{1,200}}%40)
      )
      (?P<value>
          (?<=%3[aA])(?:[^\s%]|%25[0-9A-Fa-f]{{2}})+(?=%40)
        | [bBrRuUfF]{{0,2}}(?:"{{3}}(?:[^"]|"{{1,2}}(?!"))+"{{0,3}}|'{{3}}(?:[^']|'{{1,2}}(?!'))+'{{0,3}})
        | [A-Za-z_][\w.]{{0,40}}\(\s*(?:"[A-Z][A-Z0-9_]{{0,80}}"|'[A-Z][A-Z0-9_]{{0,80}}')\s*,\s*[bru]?(?:"[^"\n]*"?|'[^'\n]*'?)
        | (?:[bBrRuUfFnN]{{1,2}}(?=\\*["']))?(?:[A-Za-z_][\w.]{{0,40}}\((?:default\s*=\s*)?b?(?=["']))?
          (?:\\+"[^"\n]*"|"(?:[^"\\\n]|\\.)*"?|\\+'[^'\n]*'|'(?:[^'\\\n]|\\.)*'?)
        | &(?:quot|apos|\#3[49]|\#x2[27]);[^&\n]*
        | (?<==)\s*\{{(?:[^}}\n]|\}}\}})*\}}?
        | \{{(?=\s{{0,99}}["'])[^{{}}]{{0,2000}}(?:\{{[^{{}}]{{0,2000}}\}}[^{{}}]{{0,2000}}){{0,4}}\}}?
        | \[[^\]\n]*\]?|\([^)\n]*\)?
        | (?:[|>][+-]?\s*\n\s+)\S+
        | (?<=[:/])[^\s/@]+(?:@[^\s/"'<>@]+)*(?=@)
        | [^\s"'<>;,&(){{}}\[\]]+(?:(?:[;,&(){{}}](?![\w.\ -]{{0,40}}[=:])|<(?=\w{{1,40}}>)|\[(?=\w{{1,40}}\]\w)|[>\]](?=\w)(?!\w{{0,40}}[=:]))[^\s"'<>;,&(){{}}\[\]]+)*
      )
    | (?P<pem>-{{4,5}}\ ?BEGIN\ [A-Z0-9 ]{{0,40}}PRIVATE\ KEY(?:\ BLOCK)?\ ?-{{4,5}}
          .*?(?:-{{4,5}}\ ?END\ [A-Z0-9 ]{{0,40}}PRIVATE\ KEY(?:\ BLOCK)?\ ?-{{4,5}}|\Z))
    | (?P<tail>(?<![A-Za-z0-9+/=])(?:[A-Za-z0-9+/=]{{16,80}}(?:\s|\\+[nr]){{1,4}}){{1,60}}
          -{{4,5}}\ ?END\ [A-Z0-9 ]{{0,40}}PRIVATE\ KEY)
    | (?P<putty>PuTTY-User-Key-File-[0-9].*?(?:Private-MAC:\ ?\w*|\Z))
    """,
    re.VERBOSE | re.DOTALL,
)
COMMANDS = ("login", "mysql", "mariadb", "mongo", "sqlcmd", "bcp", "sshpass", "zip", "twine", "beeline")
_CORE = (
    r"(?:key(?:[-_]?(?:data|base))?|secret(?:[-_]?(?:data|base|value))?|token|identity[-_]header"
    r"|p(?:ass(?:words?(?:[-_]?(?:salt|hash|value))?|wd|phrase|code)?|wd?|at)"
    r"|a(?:uth(?:orization)?|ccess[-_]?signature)|c(?:red(?:ential)?s?|ookies?))(?:[-_]?[0-9]{1,2})?"
)
# The string in lower case must match this before the expressions above and below are applied. They cost ten times as
# much. Each alternative begins with a letter or a set of letters, because a search skips other letters fast.
LIKELY = LazyPattern(
    rf"""(?=[abcefhiklmoprstuw?&:<"-])(?:  # the first characters of all
      {_CORE}(?:{_QUOTE}?\]?{_EQUALS}|{_QUOTE}?\]?\s*:\s*(?:str|bytes|optional)|{_QUOTE}\s{{0,9}},?\s{{0,9}}{_QUOTE}?value|{_QUOTE}\s*,|>
            |["']?[ \t]{{0,9}}\r?\n\s{{0,40}}value:|\r?\n[^\n]{{0,320}}input_value=
            |\s{{1,9}}(?:is\s|was\s|provided:|n?["']|[a-z0-9_-]{{16}})|\\*["'](?:\r?\n|(?:\\+r)?\\+n){{2}})
    | -[\w-]{{0,30}}{_CORE}(?:["']\s*,|\s)
    | a(?:uth\( | uth\s+plain\s | uthtoken\s | ult\s+login\s | %2f%2f[^%\s]{{0,64}}%3a
       | ws[^\n]{{0,20}}?(?:key|pwd?|pass|token)[^\n]{{0,26}}?["'][a-z0-9/+]{{40}}["'])
    | b(?:earer:?\s | asic\s | egin\ [a-z0-9\ ]{{0,40}}private\ key | indpw\s)
    | c(?:lient\( | url\b[^\n|]{{0,200}}?[\s"'](?:-u|--user|--proxy-user|-b|--cookie) | onfigure\s+set\s | li\b[^\n|;]{{0,200}}?\s-a\s)
    | e(?:nd\ [a-z0-9\ ]{{0,40}}private\ key | nv\ [\w-]{{0,60}}{_CORE}\s)
    | fs\.(?:azure|s3)
    | h(?:ttps?(?=\s)[^\n|]{{0,200}}?\s--auth | tpasswd\s+-)
    | i(?:dentified\s | p\b[^\n|;]{{0,200}}?\s-p)
    | l(?:ogin(?:\( | \s+\S{{1,64}}\s+password\s) | oc=["'][^"'@]{{0,99}}@ | dap\w{{0,12}}\b[^\n|;]{{0,200}}?\s-w\s)
    | oracle: | p(?:scredential\( | rox[^\n@]{{0,100}}@ | utty-user-key-file-) | response=
    | s(?:ig(?:nature)?(?:=|%3d) | ecretstr\( | ecretbytes\( | ubscription["']?\s*[=:] | et\s+password\s | etapikey\s | essid= | essionid= | qlplus\s)
    | token\s+[a-z2-7]{{52}} | unseal\s+key\s | w(?:andb\s+login\s | ith\s+password\s)
    | [as](?:ws|ecret)[\w.:-]{{0,24}}[\s=:'"]{{1,3}}[a-z0-9/+]{{40}}
    | [blmst](?:cp|ogin|ysql|ariadb|ongo|qlcmd|shpass|wine|eeline)[^\n|;]{{0,200}}?[\s"']-p  # those of COMMANDS
    | [?&](?:code|appid|jwt|assertion|client_assertion|samlresponse|ticket)= | &s= | ://[^/\s@]*@ | "kty"
    | <(?:cookie\s | [\w:.-]{{0,40}}(?:password|passwd|secret)\s)
    )""",
    re.VERBOSE,
)
COOKIES = LazyPattern(
    r"""(?i:(?P<keep>(?<![a-z])(?:set-)?cookies?\\*["']?\s*[:=]\s*b?|<cookie\s))
    (?P<value>\\*"[^"\n]+"?|\\*'[^'\n]+'?|\{[^}\n]*\}?|[^\s"'=]{1,200}=[^\n"'>]*)""",
    re.VERBOSE,
)
