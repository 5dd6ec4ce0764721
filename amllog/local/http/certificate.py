"""The certificate of the TLS server, which is created when the server starts.

Clients trust it by a file (`REQUESTS_CA_BUNDLE`), which contains the usual certificate authorities and this
certificate. It is valid for 127.0.0.1 and cannot sign others. Its key is on disk only while it is loaded.
"""

from __future__ import annotations

import ipaddress
import secrets
import ssl
import tempfile
from datetime import datetime, timedelta, timezone
from pathlib import Path

from amllog.errors import MissingExtraError
from amllog.local.storage import open_for_append, replace_file

_VALID = timedelta(days=30)


def create_context(bundle: Path, authorities: Path | None = None) -> ssl.SSLContext:
    """Create the certificate, write the bundle and return the TLS context of the server.

    `authorities` is a file with the other authorities of the bundle. The default is that of `requests`.
    """
    certificate, key = _key_and_certificate()
    others = (authorities or Path(_default_authorities())).read_bytes()
    temporary = bundle.with_name(f".{bundle.name}-{secrets.token_hex(8)}")
    replace_file(bundle, temporary, others + b"\n# amllog.local\n" + certificate)
    return _context(certificate, key)


def _context(certificate: bytes, key: bytes) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # ssl reads keys from files only. The directory has mode 0700.
    with tempfile.TemporaryDirectory(prefix="amllog-") as directory:
        chain = Path(directory) / "chain.pem"
        with open_for_append(chain) as file:
            file.write(key + certificate)
        context.load_cert_chain(chain)
    return context


def _default_authorities() -> str:
    import certifi  # a dependency of requests, which only an upload needs

    return certifi.where()


def _key_and_certificate() -> tuple[bytes, bytes]:
    try:
        from cryptography import x509  # slow to import, and only an upload needs it
        from cryptography.hazmat.primitives import hashes, serialization
        from cryptography.hazmat.primitives.asymmetric import ec
    except ImportError as error:
        raise MissingExtraError("cryptography", "local") from error
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.oid.NameOID.COMMON_NAME, "amllog.local, this machine only")])
    now = datetime.now(timezone.utc)
    public_id = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + _VALID)
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False
        )
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), True)
        .add_extension(x509.ExtendedKeyUsage([x509.oid.ExtendedKeyUsageOID.SERVER_AUTH]), False)
        .add_extension(public_id, False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(public_id), False)
    )
    certificate = builder.sign(key, hashes.SHA256())
    plain = serialization.NoEncryption()
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    return certificate.public_bytes(serialization.Encoding.PEM), pem
