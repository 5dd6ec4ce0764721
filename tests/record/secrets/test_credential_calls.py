"""Secrets that a call takes by position are masked, also in the source lines of a traceback."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from amllog.record.redaction import Redactor

SECRET = "Zq9xK7vB2mW4hunter22"
CALLS = (
    "cred = ClientSecretCredential('tenant', 'client', '{}')",
    "cred = ClientSecretCredential(tenant, client, '{}', authority='x')",
    "SecretClient(vault_url=u, credential=ClientSecretCredential(t, i, '{}'))",
    "c = AzureKeyCredential('{}')",
    'c = AzureKeyCredential("{}")',
    "c = AzureNamedKeyCredential('acct', '{}')",
    "c = AzureSasCredential('sv=2020&sig={}')",
    "c = UsernamePasswordCredential('id', 'user', '{}')",
    "c = UserPassCredentials('user', '{}')",
    "auth = ServicePrincipalAuthentication('t', 'c', '{}')",
    "svc = BlobServiceClient('https://a.blob.core.windows.net', '{}')",
    "svc = BlobServiceClient(url, '{}')",
    "db = CosmosClient(url, '{}')",
    "kv.set_secret('db-password', '{}')",
    'kv.set_secret("db-password", "{}")',
    "keyring.set_password('svc', 'me', '{}')",
    "user.set_password('{}')",
    "archive.setpassword(b'{}')",
    "dbutils.secrets.put('scope', 'key', '{}')",
    "huggingface_hub.login('{}')",
    "weaviate.auth.api_key('{}')",
    "os.environ.setdefault('API_KEY', '{}')",
    "os.putenv('API_KEY', '{}')",
    "os.getenv('API_KEY', '{}')",
    "monkeypatch.setenv('DB_PASSWORD', '{}')",
    "setattr(config, 'password', '{}')",
    "spark.conf.set('spark.hadoop.fs.s3a.secret.key', '{}')",
    'spark.conf.set("fs.azure.account.oauth2.client.secret.a.dfs.core.windows.net", "{}")',
    "os.getenv('API_KEY') -> '{}'",
    "parser.add_argument('--password', default='{}')",
    "parser.add_argument('--api-key', type=str, default='{}', help='x')",
)
HARMLESS = (
    "credential = DefaultAzureCredential()",
    "credential = get_credential('production')",
    "c = ManagedIdentityCredential('3f2a9c44-1111-2222-3333-444455556666')",
    "c = ManagedIdentityCredential(client_id='3f2a9c44-1111-2222-3333-444455556666')",
    "c = CertificateCredential('3f2a9c44-1111-2222-3333-444455556666', 'app', '/certs/app.pem')",
    "auth = InteractiveLoginAuthentication('3f2a9c44-1111-2222-3333-444455556666')",
    "c = AzureKeyCredential('<your-key>')",
    "c = AzureKeyCredential('***')",
    "c = AzureKeyCredential(os.environ['KEY'])",
    "Credentials('default')",
    "svc = BlobServiceClient('https://a.blob.core.windows.net', DefaultAzureCredential())",
    "blob = BlobClient('https://a.blob.core.windows.net', 'container', 'part-0001.parquet')",
    "kv.get_secret('db-password')",
    "kv.set_secret('db-password', value)",
    "login('westeurope')",
    "azure.login('me@example.com')",
    "os.environ.setdefault('TOKENIZERS_PARALLELISM', 'false')",
    "os.environ.setdefault('OMP_NUM_THREADS', '8')",
    "os.getenv('DATA_DIR', '/mnt/data2')",
    "spark.conf.set('spark.sql.shuffle.partitions', '200')",
    "parser.add_argument('--pad-token', default='[PAD]')",
    "parser.add_argument('--eos-token', type=str, default='<|end|>')",
    "parser.add_argument('--max-tokens', type=int, default=512)",
    "setattr(model, 'weight_norm', 'layer2')",
)


@pytest.mark.parametrize("call", CALLS)
def test_a_secret_by_position_is_masked(call: str) -> None:
    """The literal that is a secret by its position is masked, and the rest of the call stays."""
    before, _, after = call.partition("{}")
    mask = Redactor().mask
    for text in (call.format(SECRET), f'  File "x.py", line 1, in f\n    {call.format(SECRET)}\n'):
        masked = mask(text)
        assert SECRET not in masked and "***" in masked
        assert before.rpartition("sv=")[0] or before in masked
        assert after in masked
        assert mask(masked) == masked


@pytest.mark.parametrize("call", HARMLESS)
def test_other_arguments_stay(call: str) -> None:
    """Ids, addresses, files, names and placeholders stay."""
    assert Redactor().mask(call) == call


def test_escaped_quotation_marks() -> None:
    """Quotation marks that are escaped in JSON are recognized as well."""
    assert Redactor().mask(r'{"line": "c = AzureKeyCredential(\"hunter22hunter\")"}') == (
        r'{"line": "c = AzureKeyCredential(\"***\")"}'
    )


def test_secrets_in_a_traceback(child: Any, tmp_path: Path) -> None:
    """After an exception in such a call, neither the journal nor the driver log contains the secret."""
    script = tmp_path / "train.py"
    script.write_text(
        f"""
import amllog
log = amllog.setup()

class AzureKeyCredential:
    def __init__(self, key):
        raise ValueError("no network")

try:
    AzureKeyCredential('{SECRET}')
except ValueError:
    log.exception("failed")
"""
    )
    ran = child(f"import runpy; runpy.run_path({str(script)!r}, run_name='__main__')")
    written = ran.stdout + "".join(file.read_text() for file in tmp_path.rglob("*.jsonl"))
    assert ran.returncode == 0 and "AzureKeyCredential('***')" in written, ran.stderr
    assert SECRET not in written
