"""A secret in any common format, anywhere in a record, never reaches the journal or the driver log."""

from __future__ import annotations

import base64
import json
import logging
import string
import traceback
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

import amllog
from amllog.config.settings import find_secrets
from amllog.record.redaction import MARGIN, Redactor

LETTERS = string.ascii_letters + string.digits
# The prefixes make sure that the secret is not a word of our code.
token = st.text(LETTERS, min_size=20, max_size=60).map(lambda string: "q9" + string)
base64ish = st.binary(min_size=32, max_size=64).map(lambda raw: "q9" + base64.b64encode(raw).decode())
password = st.text(LETTERS + "!#$%*+-./:?^_~", min_size=8, max_size=30).map(lambda string: "p" + string + "w")


def jwt(part: str) -> str:
    """Return a string with the format of a run token."""
    head = base64.urlsafe_b64encode(b'{"alg":"RS256","typ":"JWT"}').rstrip(b"=").decode()
    return f"{head}.{part}{part}.{part}"


FORMATS: dict[str, tuple[Any, str]] = {  # the strategy for the secret, and the string around it
    "account key": (base64ish, "AccountName=x;AccountKey={};EndpointSuffix=core.windows.net"),
    "shared access key": (base64ish, "Endpoint=sb://x.invalid/;SharedAccessKeyName=root;SharedAccessKey={}"),
    "SAS": (base64ish, "https://x.blob.invalid/c/b?sv=2020-08-04&se=2026&sr=b&sp=r&sig={}"),
    "SAS in quotes": (base64ish, "url 'https://x.blob.invalid/c/b?sig={}' failed"),
    "escaped SAS": (token, "?sig={}%3D&se=2026"),
    "SAS in an encoded address": (token, "next=https%3A%2F%2Fx.blob.invalid%2Fc%2Fb%3Fsv%3D2020-08-04%26sig%3D{}"),
    "bearer": (token, "Authorization: Bearer {}"),
    "bearer in a dict": (token, "headers={{'Authorization': 'Bearer {}', 'Accept': '*/*'}}"),
    "bare bearer": (token, "sent Bearer {} to the service"),
    "basic": (base64ish, "Authorization: Basic {}"),
    "jwt": (token.map(jwt), "the token was {} and it was refused"),
    "jwt in JSON": (token.map(jwt), '{{"run": 1, "value": "{}"}}'),
    "password": (password, "password={}"),
    "password in JSON": (password, '{{"user": "me", "password": "{}"}}'),
    "password in a repr": (password, "{{'passwd': '{}'}}"),
    "pwd": (password, "Server=x;Uid=me;Pwd={};"),
    "api key": (token, "api_key: {}"),
    "api-key header": (token, "api-key: {}"),
    "client secret": (token, "client_secret={}&grant_type=client_credentials"),
    "environment": (token, "MY_SECRET={}"),
    "url": (token, "https://user:{}@host.invalid/path"),
    "git url": (token, "https://{}:x-oauth-basic@github.invalid/a/b"),
    "user of a url": (token, "cloning https://{}@github.invalid/a/b"),
    "github": (st.text(LETTERS, min_size=36, max_size=36).map(lambda string: "ghp_" + string), "cloned with {} today"),
    "hugging face": (st.text(LETTERS, min_size=34, max_size=34).map(lambda string: "hf_" + string), "({})"),
    "openai": (st.text(LETTERS, min_size=40, max_size=48).map(lambda string: "sk-" + string), "key {}"),
    "openai project": (st.text(LETTERS + "_-", min_size=40).map(lambda string: "sk-proj-0A" + string), "key {}"),
    "instrumentation key": (st.uuids().map(str), "InstrumentationKey={};IngestionEndpoint=https://x.invalid/"),
    "shared key": (base64ish, "Authorization: SharedKey account:{}"),
    "token header": (token, "'Authorization': 'Token {}'"),
    "private key": (base64ish, "-----BEGIN RSA PRIVATE KEY-----\n{}\n-----END RSA PRIVATE KEY-----"),
}  # fmt: skip
quick = settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))


class Output:
    """The bytes in the journal and on the driver log since the last call."""

    def __init__(self, directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self._directory, self._capsys, self._seen = directory, capsys, 0

    def __call__(self) -> str:
        data = b"".join(file.read_bytes() for file in sorted(self._directory.glob("*.jsonl")))
        new, self._seen = data[self._seen :], len(data)
        return new.decode() + "".join(self._capsys.readouterr())


@pytest.fixture
def output(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Output]:
    """The output of amllog after setup()."""
    amllog.setup(directory=tmp_path / "journal", level="DEBUG")
    output = Output(tmp_path / "journal", capsys)
    output()
    return output


@pytest.mark.parametrize("name", FORMATS)
def test_formats(name: str, output: Output) -> None:
    """A secret of each format is masked in messages, arguments, dimensions, keys, containers, exceptions and names."""
    secrets, around = FORMATS[name]

    @quick
    @given(secrets)
    def check(secret: str) -> None:
        text = around.format(secret)
        log = amllog.get_logger("x")
        log.info(text)
        log.info("%s", text)
        log.info("m", a=text, b={"in": [text]}, c=ValueError(text), d=text.encode())
        try:
            raise RuntimeError(text) from KeyError(text)
        except RuntimeError as error:
            if hasattr(error, "add_note"):
                error.add_note(text)
            log.exception("failed: %s", text)
        log.event(text, value=text)
        log.metric("m", 1, note=text)
        with log.span(text):
            pass
        with amllog.bound(around=text), log.span("s", of={text: 1}):
            logging.getLogger("plain").info(
                "%s", text, extra={"x": [text], "custom_dimensions": {text: text}}
            )
        with warnings.catch_warnings(record=True) as warned:  # about a name that run history would truncate
            warnings.simplefilter("always")
            log.bind(stays=(text,)).metrics({text: 1}, step=1)
        log.run.set_tags({"note": text})
        log.run.log_row("rows", note=text, **{text[:100]: 1})
        log.run.log("text", text)
        log.run.upload_file(text, b"")
        assert secret not in output() + "".join(str(warning.message) for warning in warned)

    check()


@pytest.mark.parametrize(
    "key",
    ["password", "PASSWORD", "db_password", "dbPassword", "apiKey", "API_KEY", "api-key", "accountKey", "token",
     "access_token", "accessToken", "run.token", "client_secret", "Authorization", "sas", "sas_url", "sasUrl",
     "connection_string", "connectionString", "ConnectionString", "credential", "AZURE_CREDENTIALS", "cookie",
     "storage_key", "instrumentationKey", "APPINSIGHTS_INSTRUMENTATIONKEY", "private_key", "passphrase", "jwt"],
)  # fmt: skip
def test_secret_keys(key: str) -> None:
    """A value under the name of a secret is masked."""
    assert Redactor().is_secret(key, "x")


@pytest.mark.parametrize(
    "key",
    ["tokens", "token_count", "max_tokens", "key", "keys", "primary", "author", "monkey", "passed", "compass",
     "secretary_count", "batch_key", "bypass", "n_tokens_per_second", "keyword", "authors", "sassy"],
)  # fmt: skip
def test_harmless_keys(key: str) -> None:
    """Ordinary keys are not names of secrets."""
    assert not Redactor().is_secret(key, "x")


@pytest.mark.parametrize(
    "text",
    ["loaded 3 tokens", "max_tokens=512", "key error: 'loss'", "passed 10 tests", "basic training", "token count 17",
     "https://github.com/a/b/commit/0123456789abcdef", "user@example.com", "12:30@noon", "sk-learn 1.4", "a: b",
     "sk-learn-random-forest-v2.pkl", "sk-learn-Random-Forest-baseline", "xox", "weights: high",
     "0000000000000000000000000000000000000000", "sigma=0.5", "the secret of success", "tokenizer: bert-base"],
)  # fmt: skip
def test_harmless_strings(text: str) -> None:
    """Ordinary strings are unchanged."""
    assert Redactor().mask(text) == text


def test_the_surroundings_of_a_secret_stay() -> None:
    """Only the secret is masked, so that the rest shows a reader which secret it was."""
    mask = Redactor().mask
    assert mask("AccountName=x;AccountKey=abc/d+e==;End=y") == "AccountName=x;AccountKey=***;End=y"
    assert mask("https://me:pass@host/p?sig=a%2Fb&se=1") == "https://me:***@host/p?sig=***&se=1"
    assert mask("{'password': 'abc', 'user': 'me'}") == "{'password': '***', 'user': 'me'}"
    assert mask("Authorization: Bearer abcdefghij") == "Authorization: Bearer ***"


def test_numbers_under_token() -> None:
    """A number under `token` is a count."""
    redactor = Redactor()
    assert (redactor.is_secret("token", 3), redactor.is_secret("token", "3")) == (False, True)


def test_patterns_of_the_script(output: Output, tmp_path: Path) -> None:
    """`redact` adds patterns for keys, in any case, to the built-in ones."""
    amllog.setup(directory=tmp_path / "journal", redact=["^patient", "iban"])
    log = amllog.get_logger("x")
    log.bind(PatientName="Ada").info("m", my_iban="DE00", password="pw-value", other="stays")
    written = output()
    assert [value in written for value in ("Ada", "DE00", "pw-value", "stays")] == [False, False, False, True]


def test_known_values(child: Any, tmp_path: Path) -> None:
    """The secrets of the environment are masked wherever they occur, regardless of their format."""
    code = "import amllog, os; secret = os.environ['MY_PASSWORD']; amllog.setup().info('it is ' + secret, x=[secret])"
    ran = child(code, env={"MY_PASSWORD": "correct horse"})
    written = ran.stdout + "".join(file.read_text() for file in tmp_path.rglob("*.jsonl"))
    assert "it is ***" in written and "correct horse" not in written


def test_tokens_of_addresses(child: Any, tmp_path: Path) -> None:
    """A token in the path of an address in the environment or the connection string is masked alone as well."""
    first, second = (
        "YLCUSDmAM7094Ne091OWtdHt31KCT99HWxBPgOHJZco",
        "Ov6dv69rj-uHK2YIsa1Q6uT8sqa1bDY_E4VEQG6IQnQ",
    )
    target = f"InstrumentationKey=00000000-0000-0000-0000-0000000010ca;IngestionEndpoint=http://127.0.0.1:9/{second}/;"
    code = f"""
import amllog, os
log = amllog.setup(connection_string={target!r}, exporter="none", metrics="none")
log.info("it is {second} of url: /{second}/v2.1/track", x=["{first}"])
log.info("all", env=dict(os.environ))
"""
    discovery = f"http://127.0.0.1:9/{first}/discovery/workspaces/local"
    ran = child(code, env={"AZUREML_DISCOVERY_SERVICE_ENDPOINT": discovery})
    written = ran.stdout + "".join(file.read_text() for file in tmp_path.rglob("*.jsonl"))
    assert ran.returncode == 0 and "it is *** of url: /***/v2.1/track" in written, ran.stderr
    assert first not in written and second not in written and "discovery/workspaces/local" in written


def test_parts_of_addresses_stay() -> None:
    """A part of an address that is not a token is not masked elsewhere."""
    given = {
        "MLFLOW_TRACKING_URI": "azureml://westeurope.api.azureml.ms/mlflow/v1.0/subscriptions/"
        "3f2a9c44-1111-2222-3333-444455556666/resourceGroups/rg-ML/providers/Microsoft.MachineLearningServices/x",
        "URL": "https://host/" + "a" * 43 + "/" + "A-b-" * 10 + "Abc",
    }
    assert find_secrets(given) == []


def test_variables_that_are_not_secrets() -> None:
    """The value of a variable that describes a secret or its state is not masked."""
    given = {"PRIMARY_KEY": "customer_id", "SECRET_NAME": "my-database", "AUTHORIZATION": "required"}
    assert find_secrets({**given, "DB_PASS": "hunter2hunter"}) == ["hunter2hunter"]


@pytest.mark.parametrize("form", ["plain", "json", "console"])
def test_names_of_loggers(child: Any, tmp_path: Path, form: str) -> None:
    """A secret in the name of a logger is masked in the journal and on the driver log, for every kind of record."""
    code = """
import amllog, logging
amllog.setup(level="DEBUG")
log = amllog.get_logger("x.password=hunter22")
log.info("m")
log.event("e")
log.metric("loss", 1.0)
with log.span("s"):
    pass
logging.getLogger("y.password=hunter22").warning("m")
"""
    ran = child(code, env={"AMLLOG_DRIVER_FORMAT": form})
    written = ran.stdout + "".join(file.read_text() for file in tmp_path.rglob("*.jsonl"))
    assert ran.returncode == 0 and "x.password=***" in written and "y.password=***" in written, ran.stderr
    assert "hunter22" not in written + ran.stderr


def test_local_variables(output: Output) -> None:
    """A recorded traceback does not contain local variables."""

    def work() -> None:
        local = "value-of-a-local-variable"
        raise ValueError(len(local))

    try:
        work()
    except ValueError:
        amllog.get_logger("x").exception("failed")
    assert "value-of-a-local-variable" not in output().replace(
        "".join(line for line in traceback.format_stack() if "local =" in line), ""
    )


def test_a_secret_where_a_string_is_truncated(output: Output) -> None:
    """No half of a secret remains where a long string is truncated."""
    log = amllog.get_logger("x")
    for length in (8_150, 8_180, 16_300, 16_370, 32_700, 32_760, 65_500, 65_530):
        text = "x" * length + " password=" + "SECRET" * 40
        log.info(text, value=text)
        log.error("failed", exc_info=ValueError(text))
        log.error("failed", exc_info=ValueError("y " * 40_000 + text + " z" * length))
    assert "SECRET" not in output()


def test_identity_and_setup_dimensions(child: Any, tmp_path: Path) -> None:
    """The dimensions of all records are masked like other values."""
    given = {"password": "hunter22", "u": "https://a:hunter33@b"}
    code = f"import amllog; amllog.setup(dimensions={given!r}).info('m')"
    child(
        code, env={"AMLLOG_BUILD_URL": "https://me:hunter44@build.invalid/1", "AMLLOG_DRIVER_FORMAT": "json"}
    )
    written = "".join(file.read_text() for file in tmp_path.rglob("*.jsonl"))
    assert "hunter" not in written and "build.invalid" in written


def test_reprs() -> None:
    """The repr of our objects does not show secrets."""
    from amllog.config.parsers import parse_connection_string
    from amllog.config.settings import resolve_settings
    from amllog.session import api

    key, secret = "00000000-0000-0000-0000-0000000010ca", "hunter22"
    given = {
        "connection_string": f"InstrumentationKey={key};IngestionEndpoint=https://me:{secret}@127.0.0.1:9",
        "dimensions": {"password": secret, "u": f"https://a:{secret}@b"},
        "build_url": f"https://me:{secret}@build.invalid",
    }
    log = amllog.setup(exporter="opencensus", **given)
    session = api.session()
    bound = log.bind(password=secret, nested={"api_key": [secret]}, say=f"token={secret}", fold=3)
    objects = (
        parse_connection_string(given["connection_string"]), resolve_settings(given, {}, in_job=False),
        Redactor((), [secret]),
        log, bound,
        session, session.recorder, session.settings, session.identity, session._outbox, session._outbox.exporters,
        session.recorder.emitter.redactor, session.recorder.emitter.driver_log, amllog.status(), log.run,
        logging.getLogger().handlers, session.captures._capture, session.detector, session.captures._takeover,
    )  # fmt: skip
    for item in objects:
        assert secret not in repr(item) + str(item) and key not in repr(item) + str(item), type(item)
    assert "'fold': 3" in repr(bound)


def test_names_keep_their_words() -> None:
    """A word behind a colon belongs to the name, so that two metrics stay distinct. Secrets are masked."""
    mask_key = Redactor((), ["correct horse"]).mask_key
    assert mask_key("f1 per token: macro") == ("f1 per token: macro", False)
    assert mask_key("password=hunter22") == ("password=***", True)
    assert mask_key("https://me:hunter@host")[0] == "https://me:***@host"
    assert mask_key("a correct horse")[0] == "a ***"


def test_keys_inside_containers() -> None:
    """Values in a container are masked by their keys, also by the patterns of the script."""
    redactor = Redactor(["iban"], ['a "known" secret'])
    text = redactor.to_text(
        {"rows": [{"IBAN": "DE00", "cookie": ["a=b"], "n": 3}], "x": ['a "known" secret']}
    )
    assert json.loads(text) == {"rows": [{"IBAN": "***", "cookie": "***", "n": 3}], "x": ["***"]}


def test_tables_of_metrics() -> None:
    """The strings of a metric are masked by the name of their column and by format, and numbers stay."""
    data = {
        "columns": {"api_key": "string", "password=a1": "double", "password=b2": "int", "note": "string"},
        "rows": [["abc", "NaN", 1, "token=xyz"], [None, 0.5, 2, "fine"]],
    }
    assert Redactor().mask_metric_table(data) == {
        "columns": {"api_key": "string", "password=***": "double", "password=***~2": "int", "note": "string"},
        "rows": [["***", "NaN", 1, "token=***"], [None, 0.5, 2, "fine"]],
    }


def test_a_string_that_masking_shortens() -> None:
    """Half of a secret at the place of the cut stays hidden if masking shortens the string."""
    token, known = "q9" * 40, "correct horse battery staple " * 300
    redactor = Redactor((), [known])
    for limit in (150, 1_024, 8_192):
        for length in range(0, 90, 7):
            for secret in (f"https://{token}@host", known):
                long = 2 * limit + MARGIN - length
                text = f"password={'s' * (long - 20)} and {secret} {'x ' * 60_000}"
                for masked in (
                    redactor.mask_and_truncate(text, limit),
                    redactor.mask_and_truncate_middle(text, limit),
                ):
                    assert len(masked) <= limit
                    assert "q9q9" not in masked and "correct horse" not in masked, (limit, length)


def test_middle_of_a_very_long_string() -> None:
    """The beginning and the end of a very long string remain. A single long word has no end that is safe to show."""
    redactor = Redactor()
    masked = redactor.mask_and_truncate_middle("head\n" + "line\n" * 100_000 + "the end", 1_000)
    assert masked.startswith("head\n") and masked.endswith("the end") and len(masked) == 1_000
    assert "cut from 500012 characters" in masked
    assert "ssss" not in redactor.mask_and_truncate_middle("password=" + "s" * 10_000_000, 16_384)


@pytest.mark.parametrize("unit", ["next_token=a:", "pad_token:a:", "key=Abcdefgh1aaaaaaaaaaaaa:"])
def test_names_in_the_values_of_names(unit: str) -> None:
    """Names in harmless values are searched for secrets, and values at too great a depth are masked."""
    masked = Redactor().mask(unit * 2_000 + " password=hunter22")
    assert masked.startswith(unit.partition("a:")[0][:8]) and "hunter22" not in masked
    assert "hunter22" not in Redactor().mask("next_token=a:" * 50 + "password=hunter22")


SEARCHED = """
import time
from amllog.record.redaction import Redactor
redactor = Redactor(["x"], ["correct horse"])

def seconds(start, unit, end, size):
    text = start + unit * (size // len(unit)) + end
    begin = time.process_time()
    redactor.mask(text)
    return time.process_time() - begin

def growth(*parts, times=1):  # 4 if the time is linear in the length, 16 if it is quadratic
    long, short = (min(seconds(*parts, size) for _ in range(times)) for size in (6_000, 1_500))
    return long / short

parts = [(start, unit, end) for start in STARTS for unit in UNITS for end in ("", '"@')]
suspects = [part for part in parts if growth(*part) > 7]
print([part for part in suspects if growth(*part, times=5) > 7], len(parts))
"""
STARTS = ("key ", "password=", 'password="', "basic ", "bearer ", "eyJ", "://", "-----BEGIN ")
UNITS = (
    "a", "aB1", "\\", '"', "'", '\\"', "\\'", "key=", "password=", "secret ", "token:", "://", "://a", "://a:", "@",
    "a:b@", "eyJ", "eyJ-", "eyJaaaaaa", "-----BEGIN PRIVATE KEY-----", "-----BEGIN A", "PRIVATE KEY", "-----END A ",
    "bearer ", "basic ", "basic aaaaaaaa ", "sk-", "sk-a", "hf_", "ghp_", "?sig=", "account key", "account-", " ",
    "=", "pwd", "\n",
    "curl -u ", "login('a', ", "a<b>", "ab[cd]", "{'a': '", "proxy ", "AAAABBBBCCCCDDDD12\n",
    'secret="', "secret='\\", "password=\\",
    "Credential('a', ", "Credential(a, ", "set_secret(a, ", "login('", "setenv('a_", "getenv('",
    "argument('--password', default", "password is ", "user=a pass", "htpasswd -b a b ", "redis-cli a -a", "ldap ",
    "zip ", "netloc='", "%3a%2f%2f", "%3aa%40", "next_token=a:", "key=Abcd1",
    'name="password"\n', "password\n", "<password>\n ", '"""', 'password="""a"', "password=a(b",
)  # fmt: skip


@pytest.mark.slow
@pytest.mark.once
def test_no_string_makes_the_search_slow(child: Any) -> None:
    """The processor time of a search grows with the length of a string, never with its square."""
    ran = child(f"STARTS, UNITS = {STARTS!r}, {UNITS!r}\n{SEARCHED}", timeout=900)
    assert ran.stdout.split() == ["[]", str(2 * len(STARTS) * len(UNITS))], ran


def test_an_invalid_dimension_is_shown() -> None:
    """A part without `=` is shown in the error, because it is the invalid part."""
    with pytest.raises(amllog.ConfigError, match=r"'team:nlp,owner=\*\*\*'"):
        amllog.setup(dimensions="team:nlp,owner=me")


def test_errors_of_settings() -> None:
    """An error of setup() names the setting, and shows only the keys of values that may be secrets."""
    with pytest.raises(amllog.ConfigError) as caught:
        amllog.setup(
            connection_string="InstrumentationKey=hunter22;IngestionEndpoint=hunter22;hunter22",
            dimensions="team=hunter22,hunter22",
            grace_seconds="https://me:hunter22@host",
            colour={"password": "hunter22"},
        )
    text = str(caught.value) + repr(caught.value) + str(caught.value.args)
    assert "hunter22" not in text
    for part in (
        "InstrumentationKey=***;IngestionEndpoint=***;***",
        "'team=***,***'",
        "grace_seconds",
        "colour",
    ):
        assert part in text


def test_errors_of_metrics() -> None:
    """An error of a metric call does not show a secret that was passed as a number, a name or a step."""
    log = amllog.get_logger("x")
    for call in (
        lambda: log.metric("m", "password=hunter22"),
        lambda: log.metric(("password=hunter22",), 1),  # type: ignore[arg-type]  # an error of the script
        lambda: log.metric("m", 1, step="token=hunter22"),
        lambda: log.run.set_tags({"password=hunter22 " * 20: 1}),
        lambda: log.run.log_table("m", {"password=hunter22 " * 20: [1]}),
    ):
        with pytest.raises(amllog.MetricError) as caught:
            call()
        assert "hunter22" not in str(caught.value) and "***" in str(caught.value)


def test_before_setup(child: Any, tmp_path: Path) -> None:
    """Records from before setup() are masked with the secrets of the environment and the patterns of setup()."""
    code = """
import amllog, os
log, secret = amllog.get_logger("early"), os.environ["MY_PASSWORD"]
os.environ["LATER_PASSWORD"] = "battery staple"
log.info("it is " + secret, {secret: [secret], "later": "battery staple"})
log.event("m " + secret, iban="DE00", rows=[{"iban": "DE00"}], odd="[" * 9_000, brace="{no json")
log.metric(secret, 1, iban="DE00")
log.metric(secret, float("nan"))
log.run.set_tags({"iban": "DE00", "note": secret})
log.run.log_row("row", iban="DE00", n=1, note=secret)
amllog.setup(redact=["iban"])
"""
    ran = child(code, env={"MY_PASSWORD": "correct horse", "AMLLOG_DRIVER_LEVEL": "DEBUG"})
    written = "".join(file.read_text() for file in tmp_path.rglob("*.jsonl"))
    assert ran.returncode == 0 and written.count("\n") >= 7, ran.stderr
    assert "it is ***" in written and "it is ***" in ran.stdout
    assert "correct horse" not in written + ran.stdout
    assert "DE00" not in written and "battery staple" not in written
    assert '[{\\"iban\\": \\"***\\"}]' in written and "{no json" in written
