"""Each kind of secret is masked in a string, and harmless strings stay. All secrets here are built from parts."""

from __future__ import annotations

from typing import NamedTuple

import pytest

from amllog.record.redaction import Redactor
from amllog.record.secrets import credential_calls, named_secrets, provider_secrets, secret_names

RANDOM = "aB3dE5fG7hJ9kL1mN3pQ5rS7tU9vW1xY3zA5bC7dE9fG1hJ3kL5mN7pQ9rS1tU3vW5xY7z" * 4
HEX = "0a1b2c3d4e5f6789" * 8
KINDS = {
    "aws id": ("AKIA" + "ABCD2345EFGH6789", "key {}"),
    "aws secret": (RANDOM[:38] + "/x", "aws_secret_access_key = {}"),
    "google": ("AIza" + RANDOM[:35], "{}"),
    "ghp": ("ghp_" + RANDOM[:36], "{}"),
    "github_pat": ("github_pat_" + RANDOM[:22] + "_" + RANDOM[:59], "{}"),
    "databricks": ("dapi" + HEX[:32], "{}"),
    "npm": ("npm_" + RANDOM[:36], "{}"),
    "npmrc": (HEX[:36], "//r.invalid/:_authToken={}"),
    "pypi": ("pypi-AgEIcHlwaS5vcmc" + RANDOM[:80], "{}"),
    "stripe": ("sk_live_" + RANDOM[:24], "{}"),
    "rk": ("rk_live_" + RANDOM[:24], "{}"),
    "whsec": ("whsec_" + RANDOM[:32], "{}"),
    "sendgrid": ("SG." + RANDOM[:22] + "." + RANDOM[:43], "{}"),
    "xoxb": ("xoxb-123456789012-123456789012-" + RANDOM[:24], "{}"),
    "slack hook": ("T0AB12CD3/B0AB12CD3/" + RANDOM[:24], "https://hooks.slack.com/services/{}"),
    "teams": (HEX[:32] + "/" + HEX[:8], "https://x.webhook.office.com/webhookb2/a@b/IncomingWebhook/{}"),
    "logic": (
        RANDOM[:43],
        "https://prod-1.logic.azure.com/workflows/x/triggers/manual/paths/invoke?api-version=1&sig={}",
    ),
    "odbc": ("hun}}ter{22", "Driver=x;Uid=u;Pwd={{{}}};Encrypt=yes"),
    "code": (RANDOM[:50] + "==", "https://f.azurewebsites.net/api/f?code={}"),
    "fkey": (RANDOM[:50], "x-functions-key: {}"),
    "ocp": (HEX[:32], "Ocp-Apim-Subscription-Key: {}"),
    "cookie": ("ab12cd34ef", "Cookie: session={}; a=b"),
    "setcookie": ("ab12cd34ef", "Set-Cookie: id={}; Path=/"),
    "cookies dict": ("ab12cd34ef", "cookies={{'s': '{}'}}"),
    "opt": ("hunter22", "run --password {} --n 3"),
    "opt=": ("hunter22", "run --password={}"),
    "token opt": ("hunter22", "--token {}"),
    "api opt": ("hunter22", "--api-key {}"),
    "ps": ("hunter22", "-Password {}"),
    "argv": ("hunter22", "['x', '--password', '{}']"),
    "docker login": ("hunter22", "docker login -u me -p {} host"),
    "mysql": ("hunter22", "mysql -u root -p{}"),
    "curl": ("hunter22", "curl -u me:{} https://x"),
    "login": ("0aB1cD2eF3", "login(key='{}')"),
    "wandb": (HEX[:40], "wandb.login(key='{}')"),
    "api pass": (RANDOM[:40], "apipass = {}"),
    "api pwd": (RANDOM[:40], "API_PWD={}"),
    "bytes": ("hunter22", "{{'password': b'{}'}}"),
    "SecretStr": ("hunter22", "Config(password=Secret('{}'))"),
    "json2": ("hunter22", '"{{\\"password\\": \\"{}\\"}}"'),
    "xml": ("hunter22", "<Password>{}</Password>"),
    "k8s": ("hunter22", '{{"name": "DB_PASSWORD", "value": "{}"}}'),
    "netrc": ("hunter22", "machine x login me password {}"),
    "pg": ("hunter22", "PGPASSWORD={} psql"),
    "mysql_pwd": ("hunter22", "MYSQL_PWD={}"),
    "urlenc": ("hunter22", "password%3D{}"),
    "html": ("hunter22", "{{&quot;password&quot;: &quot;{}&quot;}}"),
    "tuple": ("hunter22aa", "[(b'x-api-key', b'{}')]"),
    "url pw": ("p;w&r#d", "postgresql://me:{}@host/db"),
    "docker auth": ("dXNlcjpwYXNzd29yZA==", '{{"auths": {{"x": {{"auth": "{}"}}}}}}'),
    "kube": ("LS0tLS1CRUdJTiBSU0EgUFJJ" + RANDOM[:40], "client-key-data: {}"),
    "pgp": ("abcPGP0aB1", "-----BEGIN PGP PRIVATE KEY BLOCK-----\n\n{}\n-----END PGP PRIVATE KEY BLOCK-----"),
    "storage": (RANDOM[:86] + "==", "key is {}"),
    "aad": ("abc8Q~" + RANDOM[:34], "{}"),
    "refresh": ("0.AX" + RANDOM[:150], "{}"),
    "ado": ("a2b3c4d5" * 6 + "a2b3", "AZURE_DEVOPS_EXT_PAT={}"),
    "jqqj": (RANDOM[:52] + "JQQJ99" + RANDOM[:26], "{}"),
    "openai": ("sk-" + RANDOM[:48], "{}"),
    "proj": ("sk-proj-" + RANDOM[:60], "{}"),
    "ant": ("sk-ant-api03-" + RANDOM[:90], "{}"),
    "hf": ("hf_" + RANDOM[:34], "{}"),
    "api_org": ("api_org_" + RANDOM[:34], "{}"),
    "r8": ("r8_" + RANDOM[:37], "{}"),
    "gsk": ("gsk_" + RANDOM[:52], "{}"),
    "glpat": ("glpat-" + RANDOM[:20], "{}"),
    "dop": ("dop_v1_" + HEX[:64], "{}"),
    "twilio": ("SK" + HEX[:32], "{}"),
    "mailgun": ("key-" + HEX[:32], "{}"),
    "mailchimp": (HEX[:32] + "-us12", "{}"),
    "telegram": (":AA" + RANDOM[:33], "123456789{}"),
    "discord": (RANDOM[:6] + "." + RANDOM[:27], "M" + RANDOM[:23] + ".{}"),
    "square": ("sq0csp-" + RANDOM[:43], "{}"),
    "shopify": ("shpat_" + HEX[:32], "{}"),
    "akc": ("AKCp" + RANDOM[:69], "{}"),
    "cmv": ("cmVmd" + RANDOM[:59], "{}"),
    "hvs": ("hvs." + RANDOM[:90], "{}"),
    "tfc": (RANDOM[60:124], RANDOM[:14] + ".atlasv1.{}"),
    "glsa": ("glsa_" + RANDOM[:32] + "_" + HEX[:8], "{}"),
    "nrak": ("NRAK-" + RANDOM[:27].upper(), "{}"),
    "sl": ("sl." + RANDOM[:130], "{}"),
    "lin": ("lin_api_" + RANDOM[:40], "{}"),
    "ntn": ("ntn_" + RANDOM[:46], "{}"),
    "pscale": ("pscale_tkn_" + RANDOM[:40], "{}"),
    "dp": ("dp.pt." + RANDOM[:43], "{}"),
    "sntrys": ("sntrys_eyJ" + RANDOM[:100], "{}"),
    "age": ("AGE-SECRET-KEY-1" + RANDOM[:58].upper(), "{}"),
    "ya29": ("ya29." + RANDOM[:60], "{}"),
    "gocspx": ("GOCSPX-" + RANDOM[:28], "{}"),
    "jwt": ("eyJ" + RANDOM[:20] + "." + RANDOM[:30] + "." + RANDOM[:20], "{}"),
    "fm2": ("fm2_" + RANDOM[:110], "{}"),
    "figd": ("figd_" + RANDOM[:40], "{}"),
    "sshpass": ("hunter22", "sshpass -p {} ssh me@h"),
    "sshpass in quotes": ("hunter22", "sshpass -p '{}' ssh me@h"),
    "sshpass glued": ("hunter22", "sshpass -p{} ssh me@h"),
    "mysql argv": ("hunter22", "['mysql', '-p{}']"),
    "docker argv": ("hunter22", '["docker", "login", "-u", "me", "-p", "{}"]'),
    "docker argv in JSON": ("hunter22", '[\\"docker\\", \\"login\\", \\"-p\\", \\"{}\\"]'),
    "header list": ("hunter22aa", '[["x-api-key", "{}"]]'),
    "mount": ("hunter22", "mount -o user=me,pass={}"),
    "optional": ("hunter22", "password: Optional[str] = '{}'"),
    "union": ("hunter22", "api_key: str | None = '{}'"),
    "SecretBytes": ("hunter22", "SecretBytes(b'{}')"),
    "odbc_connect": ("hunter22", "mssql+pyodbc:///?odbc_connect=UID%3Dme%3BPWD%3D{}%3B"),
    "nested": ("hunter22", '{{"password": {{"value": "{}"}}}}'),
    "nested twice": ("hunter22", "{{'db_password': {{'secret': {{'v': '{}'}}}}}}"),
    "inside of a harmless one": ("hunter22", "token: {{'kind': 'x', 'password': '{}'}}"),
    "inside of a schema": ("hunter22", '{{"secret": {{"type": "x", "password": "{}"}}}}'),
    "inside of a word": ("hunter22", 'last_token="password={}"'),
    "number and letters": ("1234abcd", "DB_PASS={}"),
    "k8s yaml": ("hunter22", "- name: DB_PASSWORD\n  value: {}"),
    "yaml tag": ("hunter22", "password: !!str {}"),
    "yaml anchor": ("hunter22", "password: &pw {}"),
    "cdata": ("hunter22", "<password><![CDATA[{}]]></password>"),
    "xml attribute": ("hunter22", '<wsse:Password Type="x">{}</wsse:Password>'),
    "identified by": ("hunter22", "CREATE USER me IDENTIFIED BY '{}'"),
    "identified with": ("hunter22", "ALTER USER 'me' IDENTIFIED WITH mysql_native_password BY '{}'"),
    "with password": ("hunter22", "CREATE USER me WITH PASSWORD '{}'"),
    "define": ("hunter22", "define('DB_PASSWORD', '{}')"),
    "ENV": ("hunter22", "Step 3/8 : ENV DB_PASSWORD {}"),
    "angles": ("9secret", "password=ab<cd>{}"),
    "brackets": ("9secret", "password=ab[cd]{}"),
    "braintree": ("$" + HEX[:32], "access_token$production$0erzxz7shq2ac8tw{}"),
    "event grid": (RANDOM[:43] + "%3d", "aeg-sas-token: r=https%3a%2f%2fx&e=1%2f1%2f2025&s={}"),
    "wsgi cookie": ("ab12cd34ef", "'HTTP_COOKIE': 'sessionid={}'"),
    "curl cookie": ("ab12cd34ef", "curl -b 'session={}' https://x"),
    "curl --cookie": ("ab12cd34ef", "curl --cookie sessionid={} https://x"),
    "php session": (RANDOM[:26].lower(), "PHPSESSID={}"),
    "java session": (RANDOM[:32], "GET https://x/y;jsessionid={}"),
    "okta": ("00" + RANDOM[:40], "Authorization: SSWS {}"),
    "digest": (HEX[:32], 'Authorization: Digest username="me", response="{}"'),
    "sigv4": (HEX[:64], "Authorization: AWS4-HMAC-SHA256 Credential=x, SignedHeaders=host, Signature={}"),
    "curl -u glued": ("hunter22", "curl -ume:{} https://x"),
    "httpie": ("hunter22", "http --auth me:{} https://x"),
    "HTTPBasicAuth": ("hunter22", "HTTPBasicAuth('me', '{}')"),
    "smtp login": ("hunter22", "server.login('me', '{}')"),
    "smtp plain": ("AGJvYgBodW50ZXIyaHVudGVy", "AUTH PLAIN {}"),
    "oracle": ("hunter22", "jdbc:oracle:thin:me/{}@h:1521:orcl"),
    "sqlplus": ("hunter22", "sqlplus me/{}@//h:1521/orcl"),
    "proxy": ("hunter22", "Cannot connect to proxy 'me:{}@proxy:8080'"),
    "spark key": (RANDOM[:60], "--conf spark.hadoop.fs.azure.account.key.acct.dfs.core.windows.net={}"),
    "spark sas": (RANDOM[:60], "fs.azure.sas.c.acct.blob.core.windows.net={}"),
    "speech": (HEX[:32], 'SpeechConfig(subscription="{}", region="westeurope")'),
    "wandb login": (HEX[:40], "wandb login {}"),
    "wandb relogin": (HEX[:40], "wandb login --relogin {}"),
    "kaggle": (HEX[:32], '{{"username":"me","key":"{}"}}'),
    "kaggle env": (HEX[:32], "KAGGLE_KEY={}"),
    "cohere": (RANDOM[:40], 'cohere.Client("{}")'),
    "datadog": (HEX[:40], "DD-APPLICATION-KEY: {}"),
    "appid": (HEX[:32], "https://x/y?q=x&appid={}"),
    "?auth": (RANDOM[:32], "GET https://x/y?auth={}"),
    "rails": (HEX[:128], "secret_key_base: {}"),
    "salt": (RANDOM[:32], "PASSWORD_SALT={}"),
    "jwk": (RANDOM[:86], '{{"kty":"RSA","d":"{}"}}'),
    "jwk oct": (RANDOM[:43], '{{"kty":"oct","k":"{}"}}'),
    "pem tail": (RANDOM[:64], "MIIE\n{}\n-----END RSA PRIVATE KEY-----"),
    "long number": ("12345678901234567890", "token={}"),
    "hubspot": ("pat-na1-4ea38b7b-f563-4709-8bae-87aea0a1b2c3", "{}"),
    "launchdarkly": ("4ea38b7b-f563-4709-8bae-87aea0a1b2c3", "LD sdk-{}"),
    "nuget": ("oy2" + HEX[:43], "nuget {}"),
    "setapikey": (HEX[:36], "nuget setapikey {}"),
    "adafruit": ("aio_" + RANDOM[:28], "{}"),
    "cloudflare origin": ("v1.0-" + HEX[:24] + "-" + (HEX * 2)[:146], "{}"),
    "google hmac": ("GOOG1E" + RANDOM[:55].upper(), "{}"),
    "yandex": ("AQVN" + RANDOM[:38], "{}"),
    "yandex iam": (RANDOM[:60] + "." + RANDOM[:86], "t1.{}"),
    "lob": ("live_" + HEX[:35], "{}"),
    "ngrok": ("2" + RANDOM[:26] + "_" + RANDOM[:21], "ngrok config add-authtoken {}"),
    "unseal": (RANDOM[:43] + "=", "Unseal Key 1: {}"),
    "twilio client": (HEX[:32], "Client('AC0', '{}')"),
    "vendor key": (RANDOM[:32], "OPENAI_KEY={}"),
    "db pass": ("hunter22", "dbpass={}"),
    "numbered": ("hunter22", "password2={}"),
    "spark oauth": ("hunter22", "fs.azure.account.oauth2.client.secret.acct.dfs.core.windows.net={}"),
    "spark oauth alone": ("hunter22", "--conf spark.hadoop.fs.azure.account.oauth2.client.secret={}"),
    "spark oauth of JSON": (
        "hunter22",
        '"fs.azure.account.oauth2.client.secret.a.dfs.core.windows.net": "{}"',
    ),
    "s3a": ("hunter22", "fs.s3a.secret.key', '{}'"),
    "identity header": (RANDOM[:20], "IDENTITY_HEADER={}"),
    "identity header in a dict": (RANDOM[:20], "'IDENTITY_HEADER': '{}'"),
    "identity header of a request": (RANDOM[:20], "X-IDENTITY-HEADER: {}"),
    "pw": ("hunter22", "pw={}"),
    "pw in a repr": ("hunter22", "Cred(user='u', pw='{}')"),
    "DB_PW": ("hunter", "DB_PW={}"),
    "ldap_bind_pw": ("hunter22", "ldap_bind_pw={}"),
    "bindpw=": ("hunter22", "bindpw={}"),
    "ldap.conf": ("hunter22", "pam: bindpw {}"),
    "user and pass": ("hunter22", "user=admin pass={}"),
    "user: and pass:": ("hunter22", "user: admin, pass: {}"),
    "login / pass": ("hunter22", "login admin / pass: {}"),
    "alter role": ("hunter22", "ALTER ROLE x PASSWORD '{}'"),
    "encrypted password": ("hunter22", "ALTER ROLE x ENCRYPTED PASSWORD '{}'"),
    "national text": ("hunter22", "CREATE LOGIN x WITH PASSWORD = N'{}'"),
    "password in prose": ("hunter22", "error: the password is {}"),
    "password in quotes": ("hunter22", "login failed: password '{}' was rejected"),
    "openai's error": (RANDOM[:40], "Incorrect API key provided: {}. You can find your API key at"),
    "using a key": (RANDOM[:32], "using API key {}"),
    "a key after its name": (RANDOM[:32], "wandb: invalid api key {} in .netrc"),
    "userPwd": ("hunter22", "DbOptions(userPwd='{}')"),
    "adminpwd": ("hunter22", "Server=x;AdminPwd={};Timeout=3"),
    "secret_value": ("hunter22", "set(secret_value='{}')"),
    "passwordValue": ("hunter22", "passwordValue={}"),
    "bytes under key": (RANDOM[:32], "Cipher(key=b'{}')"),
    "fernet": (RANDOM[:43], "cipher = Fernet(b'{}=')"),
    "twine": ("hunter22", "Command '['twine', 'upload', '-u', '__token__', '-p', '{}']' returned"),
    "beeline": ("hunter22", "beeline -u jdbc:hive2://h -n me -p {}"),
    "conda channel": (RANDOM[:32], "Fetching https://conda.anaconda.org/t/{}/team/noarch/repodata.json"),
    "conda token": (
        f"{HEX[:8]}-{HEX[:4]}-{HEX[:4]}-{HEX[:4]}-{HEX[:12]}",
        "https://repo.example.com/t/tk-{}/team",
    ),
    "using a token": (HEX[:40], "using token {}"),
    "token is": (RANDOM[:40], "your token is {}"),
    "getenv default": ("hunter22", "password = os.environ.get('DB_PASSWORD', '{}')"),
    "Field default": ("hunter22", "password: str = Field(default='{}')"),
    "comparison": ("hunter22", "if password != '{}':"),
    "three quotation marks": ("hunter22", 'password = """{}"""'),
    "three quotes, lines": ("hunter22", "token = '''\n{}\n'''"),
    "vault login": (RANDOM[:20], "vault login {}"),
    "aws configure": (RANDOM[:40], "aws configure set aws_secret_access_key {}"),
    "redis-cli": ("hunter22", "redis-cli -a {} ping"),
    "unzip": ("hunter22", "unzip -P {} a.zip"),
    "ldapsearch": ("hunter22", "ldapsearch -x -w {}"),
    "openssl": ("hunter22", "openssl rsa -passin pass:{} -in x"),
    "htpasswd": ("hunter22", "htpasswd -b file me {}"),
    "setenv": (RANDOM[:20], "setenv API_TOKEN {}"),
    "ParseResult": ("hunter22", "ParseResult(scheme='https', netloc='me:{}@host', path='/x')"),
    "address in an address": ("hunter22", "next=https%3A%2F%2Fme%3A{}%40host%2Fx"),
    "pydantic": (
        "hunter22",
        "1 validation error for M\npassword\n  Input should be a valid integer [type=int_type, input_value='{}']",
    ),
    "xml with lines": ("hunter22", "<ns:password>\n  {}\n</ns:password>"),
    "multipart": ("hunter22", 'Content-Disposition: form-data; name="password"\r\n\r\n{}\r\n--b--'),
    "?jwt": (RANDOM[:20], "GET https://x/y?jwt={}"),
    "?client_assertion": (RANDOM[:20], "POST https://x/y?a=1&client_assertion={}"),
    "?assertion": (RANDOM[:20], "https://x/y?assertion={}"),
    "?SAMLResponse": (RANDOM[:20], "https://x/y?SAMLResponse={}"),
    "&ticket": ("ST-1-" + RANDOM[:20], "https://x/y?a=b&ticket={}"),
    "Bearer:": (RANDOM[:20], "Bearer: {}"),
    "basic without a user": ("OmFiY2RlZmdoaWprbDEy", "sent Basic {}"),
    "basic alone": ("bWU6aHVudGVyMjJodW50ZXI=", "sent Basic {}"),
    "buildkite": ("bkua_" + HEX[:40], "{}"),
    "e2b": ("e2b_" + HEX[:40], "{}"),
    "runpod": ("rpa_" + RANDOM[:46].upper(), "{}"),
    "elevenlabs": (HEX[:48], "sk_{}"),
    "default of a placeholder": ("hunter22", "password=${{DB_PASSWORD:-{}}}"),
    "like a call": ("Sommer(2024)", "password={}"),
    "like an index": ("abc[def]", "password={}"),
    "plain word": ("sunshine", "password={} host=x"),
    "plain word under pwd": ("sunshine", "Server=x;Pwd={};"),
    "word under a certain token": ("sunshine", "access_token=sunshine".replace("sunshine", "{}")),
    "word under an option": ("sunshine", "--token {}"),
    "word in an address": ("sunshine", "https://x/y?token={}"),
}
HARMLESS = [
    "https://discuss.pytorch.org/t/how-to-train-in-2-steps-12345/1234",
    "https://conda.anaconda.org/t/team",
    "api key rotation-2024-schedule1",
    "access key ring of 20240101_evaluation_set_3",
    "Fernet(key)",
    "secret_value = client.get_secret(name)",
    "secret_value=None",
    "userpwd",
    "key=basicResNet50V2",
    "f1 per token: macro",
    "tokens: 512",
    "api passed: 3, api passes = 4",
    "max_tokens=256",
    "max_token=256",
    "token_count",
    "key=3",
    "primary key: id",
    "code=200",
    "exit code 1",
    "?code=404",
    "--password-file x",
    "0123456789abcdef0123456789abcdef01234567",
    "3f2a9c44-1111-2222-3333-444455556666",
    "--tokenizer bert",
    "pad_token: [PAD]",
    "pad_token='[PAD]'",
    "eos_token=</s>",
    "bos_token='<s>'",
    "sk-learn",
    "npm_config_cache_directory_path=/x",
    "pass: 3 fail: 1",
    "Secret Santa",
    "cookie cutter",
    "a@b.c",
    "author: x",
    "keys: ['a','b']",
    "key error: 'x'",
    "KeyError: 'loss'",
    "CREATE TABLE t (id INT PRIMARY KEY)",
    "http://host:8080/x",
    "AIza in prose",
    "AC adapter SK hynix",
    "--max-token 256",
    "PWD=/home/me",
    "hf_model_name_or_path",
    "sorted(key=len)",
    "max(xs, key=lambda x: x[1])",
    "password: str = None",
    "token: None",
    "credential: DefaultAzureCredential",
    "sk-learn-random-forest-v2.pkl",
    "cache_key=0123456789abcdef0123456789abcdef",
    "sha512-" + "Ab1/" * 21 + "Ab==",
    "docker run -p 80:80 x",
    "mkdir -p /tmp/x",
    "author=me key=loss",
    "partition_key=2024-01-01",
    "bypass=1",
    "compass: 3",
    "weights: high",
    "tokenizer: bert-base",
    "logging in with user me",
    "exit code=1&code=ok",
    "user_2024_train_part_000123",
    "basic training",
    "bearer of news",
    "token count 17",
    "auth: enabled",
    "n_tokens=12, token=0",
    "Epoch 3/10 - loss: 0.2513 - accuracy: 0.9132 - val_loss: 0.3012",
    "2026-11-28 22:17:27,123 INFO azureml.core.run - Submitting run jolly_heart_0p2z1ypdns",
    "RunId: HD_5b1e7d8a-3c0e-4a8e-9d0b-0e3c0d7f1a2b_0",
    (
        "azureml://subscriptions/3f2a9c44-1111-2222-3333-444455556666/resourcegroups/rg-ml/workspac"
        "es/ws-prod/datastores/workspaceblobstore/paths/data/train.parquet"
    ),
    (
        "https://ml.azure.com/runs/jolly_heart_0p2z1ypdns?wsid=/subscriptions/3f2a9c44-1111-2222-33"
        "33-444455556666/resourcegroups/rg/workspaces/ws&tid=3f2a9c44-1111-2222-3333-444455556666"
    ),
    (
        "/mnt/azureml/cr/j/0a1b2c3d4e5f60718293a4b5c6d7e8f9/cap/data-capability/wd/INPUT_data/part-"
        "00000-of-00128.parquet"
    ),
    "Downloading model.safetensors: 100%|##########| 2.20G/2.20G [00:31<00:00, 70.1MB/s]",
    "loading weights from models/bert-base-uncased/pytorch_model.bin",
    "tokenizer_config.json: {'model_max_length': 512, 'pad_token': '[PAD]'}",
    "num_tokens=1234567, tokens/s=8123.4",
    "special_tokens_map.json",
    "token_type_ids: tensor([[0, 0, 0, 1]])",
    "attention key shape: (8, 512, 64)",
    "query, key, value = qkv.chunk(3, dim=-1)",
    "KeyError: 'target_column'",
    "for key, value in batch.items():",
    "dict_keys(['input_ids', 'attention_mask'])",
    "state_dict keys do not match: missing keys: ['lm_head.weight']",
    'Missing key(s) in state_dict: "encoder.layer.0.weight"',
    "primary_key: customer_id",
    "foreign key: order_id",
    "sort key: (date, id)",
    "partition key = 2026/11/28",
    "cache key miss: features/v3/2026-11-28",
    "hotkey: ctrl+c",
    "monkey patching urllib3",
    "keyword arguments: {'n_estimators': 100}",
    "keyboard interrupt",
    "turkey: 3, donkey: 4",
    "the password policy requires 12 characters",
    "password reset page",
    "no password needed",
    "forgot password?",
    "secret sauce of boosting",
    "secretary: 3",
    "credentials loaded from environment",
    "using DefaultAzureCredential",
    "ManagedIdentityCredential failed, trying AzureCliCredential",
    "authentication succeeded in 0.3 s",
    "author: Jane Doe",
    "authority: https://login.microsoftonline.com/common",
    "Authorization failed for user",
    "unauthorized: 401",
    "cookiecutter template rendered",
    "cookie jar is empty",
    "basic statistics: mean 0.1",
    "basic auth is not supported",
    "bearer authentication is required",
    "sig=0.05",
    "sigma=0.1",
    "signature: (x: int) -> str",
    "sigmoid(x)",
    "design=2",
    "code=0",
    "exit code=137 (killed)",
    "status code: 503",
    "error code=AuthorizationFailed",
    "?page=2&code=200",
    "GET /metrics?name=loss&step=3 HTTP/1.1 200",
    "http://localhost:5000/#/experiments/1/runs/0a1b2c3d4e5f60718293a4b5c6d7e8f9",
    "git+https://github.com/org/repo@main#egg=pkg",
    "mailto:team@example.com",
    "user@host:~/project",
    "scp model.bin me@host:/data",
    "pip install torch==2.13.0 --index-url x",
    "python train.py --epochs 3 --lr 1e-3 --seed 42",
    "python -m pip install -p x",
    "docker run --rm -p 8888:8888 image",
    "conda env create -f env.yml -p ./env",
    "mysql is not installed",
    "bcp is a tool",
    "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "commit d84101a4c7d659a2feaa0c55ad015a3bf4f1b2b0 on main",
    "md5 = 9e107d9d372bb6826bd81d3542a419d6",
    "etag: 0x8DC1F2E3D4C5B6A",
    "np.float64(0.25)",
    "array([0.1, 0.2], dtype=float32)",
    "tensor(0.25, device='cuda:0', grad_fn=<NllLossBackward0>)",
    "CUDA_VISIBLE_DEVICES=0,1,2,3",
    "OMP_NUM_THREADS=8",
    "MASTER_ADDR=10.0.0.4 MASTER_PORT=6105",
    "AZ_BATCH_NODE_ID=tvmps_0a1b2c3d_d",
    "/mnt/batch/tasks/shared/LS_root/jobs/ws/azureml/x/wd/azureml/x/user_logs/std_log.txt",
    "Standard_NC24ads_A100_v4",
    "mcr.microsoft.com/azureml/openmpi4.1.0-cuda11.8-cudnn8-ubuntu22.04:20261101.v1",
    "scikit-learn_1.5.2_py311",
    "sklearn_pipeline_v2_2026_11_28",
    "xgboost-2.1.3-py3-none-manylinux_2_28_x86_64.whl",
    "feature_importance_top_20_columns",
    "npm_lifecycle_event",
    "hf_transfer is enabled",
    "SELECT pass_count, fail_count FROM results",
    "pass@1: 0.62",
    "passed 12 of 12",
    "bypass cache",
    "passenger_count mean 1.5",
    "compass heading: 270",
    "pwd: /mnt/azureml/cr/j",
    "OLDPWD=/root",
    "session restored in 3 s",
    "SessionId not found",
    "x-ms-request-id: 3f2a9c44-1111-2222-3333-444455556666",
    "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    "InvalidKeyError",
    (
        'Traceback (most recent call last):\n  File "train.py", line 3, in <module>\n    value = conf'
        "ig[\"key\"]\nKeyError: 'key'"
    ),
    "base64 of an image: iVBORw0KGgo",
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAUAAAAFCAYAAACNbyblAAAAHElEQVQI12P4",
    "job_7f3a2b",
    "AC power",
    "SKU: Standard",
    "AP score 0.91",
    "APPINSIGHTS is set",
    "mAP50-95: 0.512",
    "EAA is an airport",
    "pad_token = tokenizer.eos_token",
    "SyntaxError: unexpected token: ')'",
    "next token: 'the' (p=0.12)",
    "token='the' logprob=-0.31",
    'first token: "Paris"',
    'stop_token: "\\n"',
    "special token: eos",
    "last_token=hello",
    "Got token: yes",
    '{"pad_token": {"content": "[PAD]", "lstrip": false}}',
    "backward_pass=45ms",
    "low-pass: 30Hz",
    "high_pass=0.5Hz",
    "band_pass: 0.5-40Hz",
    "low_pass=butterworth",
    "single-pass=on",
    "multi-pass: enabled",
    "mysql --port 3306 -p db",
    "mongodump --port 27017 -pretty",
    "login -prod environment",
    "login -p is not an option",
    "mlflow login page -port 80",
    "bcp queryout started -packet size 4096",
    "login bob password reset requested",
    "machine learning login page password field",
    "basic Training2 done",
    "basic configuration12 loaded",
    "bearer authentication1",
    "https://host/api?code=SUCCESS_OK",
    "Server cookies: {'count': 3}",
    "aws: 9fceb02d0ae598e95dc970b74767f19372d61af8 deployed",
    "aws-sha=9fceb02d0ae598e95dc970b74767f19372d61af8",
    "secret 9fceb02d0ae598e95dc970b74767f19372d61af8 rotated",
    "pul-requests-2024-november",
    "API-MANAGEMENT-GATEWAY",
    "sk_test_results_2024_11_22_final",
    "nvapi-version-550-compatibility",
    "database key: customer_id",
    "db key: id",
    "signing key: RS256",
    "function key: x",
    "credentials: found in ~/.aws/credentials",
    "api key: not set",
    "api key: (none)",
    "password: not provided",
    "token: refreshed",
    "token: cached",
    "token: ok",
    "token: expired at 2024-11-22",
    "authorization: granted",
    "encryption key: enabled",
    "_auth: none",
    "client key: none",
    "creds: loaded",
    'api_key="..."',
    "password='**********'",
    "search_key=customer",
    "redis_key=user:1000",
    "image: repo:tag@sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b",
    "password: {{ vault.db }}",
    '{"api_key": {"type": "string"}}',
    "signature=(x: int, y: int) -> int",
    "http://x/?sessionid=12",
    "curl -b cookies.txt https://x",
    "Client('westeurope')",
    "ASIA/Tokyo",
    "basic ResNet50V2 backbone",
    "using basic EfficientNetB0 backbone",
    "basic LinearRegression model",
    "Basic AutoML2026 run started",
    "basic MobileNetV3Small backbone",
    "using basic ConvNeXtTiny22k config",
    "Basic BLEU4Score metric computed",
    "basic Operation2 done",
    "bearer Channel01",
    "    token = tokenizer.decode(ids)",
    "    self.token = token",
    "    token = get_token()",
    "    password=args.password,",
    "    connect(host=host, password=password)",
    "    api_key = config.api_key",
    "token = doc[0]",
    "password = getpass.getpass()",
    "token: os.environ['TOKEN']",
    "    self._token = self._refresh_token",
    "    creds = self._copy()",
    '    api_key=os.getenv("API_KEY"),',
    "    self.password = password",
    "    if password != other:",
    "    next_page_token = base64.b64encode(cursor.encode()).decode()",
    "    username, password = get_auth_from_url(proxies[scheme])",
    "    w, pw = self.size.split('x')",
    "pw: pairwise",
    "pw = 0.35",
    '    body["secret"] = self.secret',
    "    token = match.group(0)",
    "usage: train.py [-h] [--token TOKEN] [--password PASSWORD] [--lr LR]",
    "  --token TOKEN   the access token",
    "--api-key KEY  your key",
    "train.py: error: argument --token: expected one argument",
    "token=Paris lemma=Paris pos=PROPN",
    "masked token: transformers",
    "current token: walking",
    "token='unbelievable' pos=ADJ",
    "token='\u0120hello'",
    "token: \u2581the",
    "token: running -> lemma: run",
    "token = 'walking'",
    "bad token: '\\u200b'",
    "generated token: 'international'",
    "secret: db-conn",
    "secret: model-endpoint",
    "authorization: rbac",
    "authorization: admin",
    "account_key: customer",
    "error?code=ENOENT12",
    "http://x/y?lang=en&code=abc123def",
    "https://x/y?ticket=PROJ-1234",
    "sk-learn-pipeline-20261129T100000Z",
    "docker login succeeded -p 8080",
    "key=modelV2TrainSplit2026Fold3Seed42",
    "key: resnet50Imagenet2012Baseline",
    "key: Conv2dBatchNorm3ReluBlock17Out",
    "sha512 of the file: 18yweYA/PgxYo7BWcqcYOqIi0KuUCvni4Fb3AD1XvfWOw2XrwPK5uwWo9f3nBfElnF93OlhZhaAouQJxqgcbwg==",
    "api_key: ${API_KEY}",
    "password: $DB_PASSWORD",
    "api_key={{ secrets.KEY }}",
    "password={password}",
    "password=[REDACTED]",
    "password=%s",
    "token=xxxxx",
    "password=$(cat /run/secrets/pw)",
    "password: <your-password>",
    'api_key = "<your-key>"',
    "postgresql://user:password@host:port/db",
    "password = vault.get_secret('db-password')",
    'password = config.get("password")',
    "the password is required",
    "the password is incorrect",
    "password is sha256 hashed",
    "the token is 128001",
    "token is invalid",
    "using API key from the environment",
    "the api key is present",
    "pass: 12/100",
    "pass=true",
    "the test pass: test_foo",
    "num_pass=3 pass_rate: 0.95",
    "password\n  Field required [type=missing, input_value={'port': 'x'}, input_type=dict]",
    "gzip -p x",
    "unzip -p a.zip",
    "redis-cli -h is an option of redis-cli -port",
    "bkua_build_queue_names_of_2026",
    "e2b_sandbox_template_python_311",
    "rpa_robot_process_automation_2026",
]


class Login(NamedTuple):
    """A named tuple with a secret."""

    name: str
    password: str


@pytest.mark.parametrize("kind", KINDS)
def test_kind_is_masked(kind: str) -> None:
    """A secret of each documented kind is masked, also in the middle of a sentence."""
    secret, around = KINDS[kind]
    text = around.format(secret)
    mask = Redactor().mask
    assert secret not in mask(text)
    assert secret not in mask(f"it was {text} today")


@pytest.mark.parametrize("kind", KINDS)
def test_the_first_strings_are_searched_as_well(kind: str) -> None:
    """Before the expression for all formats is compiled, each string that it matches is suspicious."""
    secret, around = KINDS[kind]
    for text in (around.format(secret), f"it was {secret} today"):
        has_sign = provider_secrets._SIGN.search(text) is not None
        assert provider_secrets.is_suspicious(text) or not has_sign
        other = provider_secrets._OTHER_SIGN.search(text) is not None
        assert provider_secrets.may_be_unlisted(text) or not other


@pytest.mark.parametrize("text", HARMLESS)
def test_harmless_strings_stay(text: str) -> None:
    """A string without a secret is unchanged."""
    assert Redactor().mask(text) == text


@pytest.mark.parametrize(
    "value",
    [
        ["run.py", "--password", "hunter22", "--epochs", "3"],
        ["az", "login", "--client-secret", "hunter22"],
        {"name": "password", "value": "hunter22"},
        {"Name": "API_KEY", "Value": "hunter22"},
        [{"name": "loss", "value": 0.5}, {"key": "db-password", "value": "hunter22"}],
        {"connection": {"user": "me", "password": "hunter22"}},
        {"argv": ["mysql", "-phunter22"]},
        {"argv": ["docker", "login", "-u", "someone", "-p", "hunter22"]},
        ["sshpass", "-p", "hunter22", "ssh", "h"],
        ["curl", "-u", "someone:hunter22"],
        {"headers": [("x-api-key", "hunter22"), ("Authorization", "hunter22")]},
        [("password", "hunter22")],
        {"auth": ("someone", "hunter22")},
        {"passwords": ["hunter22"]},
        {"auths": {"r.io": {"auth": "dXNlcjpwYXNzhunter22ABC="}}},
        {"columns": ["name", "password"], "data": [["me", "hunter22"]]},
        {"columns": ["x", "token"], "rows": [["me", "hunter22"], None]},
        [Login("me", "hunter22")],
    ],
)
def test_secrets_in_containers(value: object) -> None:
    """The value of an option, a pair and a key is masked, and the other values stay."""
    masked = Redactor().to_text(value)
    assert "hunter22" not in masked
    assert "***" in masked
    for text in ("run.py", "--epochs", "3", "loss", "0.5", "user"):
        assert (text in masked) == (text in str(value))


@pytest.mark.parametrize(
    "value",
    [["token", "label"], ["run.py", "-p", "params.yaml"], {"primary_key": "customer_id"}, {"pad_token": "[PAD]"},
     {"columns": ["token", "n"], "data": [[5, 3], [7, 2]]}, {"columns": ["a"], "data": ["x"]},
     {"name": "eos_token", "value": "</s>"}, ["login", "-prod"], {"auth": {"kind": "managed"}}],
)  # fmt: skip
def test_harmless_containers(value: object) -> None:
    """Columns, options and words of a vocabulary in a container stay."""
    assert "***" not in Redactor().to_text(value)


NAMES = secret_names.split_words("""
db_pass DB_PASS smtp_pass github_pat AZURE_DEVOPS_EXT_PAT creds basic_auth _auth npm_auth passcode master_key
client_key function_key host_key x-functions-key hmac_key app_key service_key admin_key auth_key database_key db_key
consumer_key deploy_key passwords db_passwords userpassword dbpassword PGPASSWORD RABBITMQPASSWORD mysecret
awssecretaccesskey X-Auth-Key keystore_pass proxyauthorization sharedaccesskey dbpass shared_access_signature
fernet_key Fastly-Key DD-APPLICATION-KEY openai_key OPENAI_KEY search_key redis_key cosmos_key speech_key
workspace_key license_key password api_key access_token client_secret account_key1 password2 secret_key_base
password_salt cloud_key clientSecret dbPassword storageKey
""")
KEYS_ONLY = secret_names.split_words("""
sig pass pw db_pw PAT auth bearer conn_str connectionString webhook_url privatekeypem sas sas_url jwt cookie secrets
password_hash passwordHash secretValue aws_access_key_id api_keys saskey AZUREML_CR_AZUREML_CONTEXT
""")
HARMLESS_NAMES = secret_names.split_words("""
password_length password_changed has_password secrets_found api_key_count api_key_present cookie_count jwt_count
private_key_count primary_key primary_key_column secret_name secret_scope credential_type sas_model pad_token
eos_token next_token mask_token nextToken last_token stop_token backward_pass low_pass bypass compass keyword
search_keyword keyboard monkey token_type tokens password_policy auth author partition_key foreign_key key_dim
""")


@pytest.mark.parametrize("name", sorted(NAMES))
def test_a_name_is_a_secret_in_a_string_and_as_a_key(name: str) -> None:
    """A value that is masked as `name=value` in a string is masked under this key as well."""
    value = "Zq9xK7vB2mW4"
    assert Redactor().is_secret(name, value)
    assert value not in Redactor().mask(f"it has {name}={value}")


@pytest.mark.parametrize("name", sorted(KEYS_ONLY))
def test_names_that_are_secrets_as_keys_only(name: str) -> None:
    """Words of prose are names of secrets only as keys."""
    assert Redactor().is_secret(name, "Zq9xK7vB2mW4")


@pytest.mark.parametrize("name", sorted(HARMLESS_NAMES))
def test_names_that_describe_a_secret(name: str) -> None:
    """A length, a count, a column and a word of a vocabulary stay, as a string, a number and a boolean."""
    redactor = Redactor()
    assert [value for value in ("cat", 5, 0.5, True, None) if redactor.is_secret(name, value)] == []


@pytest.mark.parametrize("name", ["SAS", "pwd", "token", "credential", "cookie", "db_key", "pass"])
def test_a_number_is_a_secret_only_under_a_certain_name(name: str) -> None:
    """A number is masked under names such as `password` only, and a boolean never."""
    redactor = Redactor()
    assert not redactor.is_secret(name, 5) and not redactor.is_secret(name, True)
    assert redactor.is_secret("password", 12345678) and not redactor.is_secret("password", False)


def test_a_key_with_a_random_value() -> None:
    """A value of `key` is a secret if it looks random."""
    assert Redactor().is_secret("key", RANDOM[:32])
    assert not any(
        Redactor().is_secret("key", value) for value in ("loss", "train/epoch", "model_v2_final", 3, HEX[:32])
    )


@pytest.mark.parametrize("text", [*HARMLESS, *(around.format(secret) for secret, around in KINDS.values())])
def test_the_prefilter_misses_no_secret(text: str) -> None:
    """The expressions mask nothing in a string that the prefilter skips."""
    masked = named_secrets.COOKIES.sub(named_secrets._replaced, credential_calls.mask(text))
    masked = named_secrets.NAMED.sub(named_secrets._replaced, masked)
    for _, pattern in provider_secrets._FIXED:
        masked = pattern.sub(provider_secrets._masked, masked)
    masked = provider_secrets._SEPARATORS.sub(lambda match: match.group()[0] + "***", masked)
    assert Redactor().mask(text) == masked
