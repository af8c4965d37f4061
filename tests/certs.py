"""Certificates of a test's own authority: good, for another host, expired, not yet valid, self-signed, of a stranger.

Problem: key material in the tree is forbidden, and an expired certificate in the tree would be one for every reason.
So all are made at run time, into a folder of the test; `server_context` loads one for a server.
What must stay true: each kind differs from `good` in one thing only, so a refusal has one cause.
"""

from __future__ import annotations

import ipaddress
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

KINDS = ("good", "wrong_host", "expired", "early", "self_signed", "stranger")
CA_FILE = "ca.pem"
DAY = timedelta(days=1)
PEM = serialization.Encoding.PEM


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _cert(
    name: str, key: ec.EllipticCurvePrivateKey, issuer: str, signer: ec.EllipticCurvePrivateKey, kind: str
) -> x509.Certificate:
    now = datetime.now(UTC)
    begin, end = {"expired": (-9, -1), "early": (1, 9)}.get(kind, (-1, 9))
    host = "other.example" if kind == "wrong_host" else "localhost"
    names: list[x509.GeneralName] = [x509.DNSName(host)]
    if kind != "wrong_host":
        names.append(x509.IPAddress(ipaddress.ip_address("127.0.0.1")))
    made = (
        x509.CertificateBuilder()
        .subject_name(_name(name))
        .issuer_name(_name(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + begin * DAY)
        .not_valid_after(now + end * DAY)
        .add_extension(x509.BasicConstraints(ca=kind == "authority", path_length=None), critical=True)
    )
    if kind != "authority":
        made = made.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return made.sign(signer, hashes.SHA256())


def make(folder: Path) -> Path:
    """Write one `<kind>.pem` (key and certificate) per kind; returns the file of the authority to trust."""
    authority, stranger = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    ca = folder / CA_FILE
    ca.write_bytes(_cert("authority", authority, "authority", authority, "authority").public_bytes(PEM))
    for kind in KINDS:
        key = ec.generate_private_key(ec.SECP256R1())
        signer, issuer = {"self_signed": (key, "localhost"), "stranger": (stranger, "stranger")}.get(
            kind, (authority, "authority")
        )
        private = key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        cert = _cert("localhost", key, issuer, signer, kind)
        (folder / f"{kind}.pem").write_bytes(private + cert.public_bytes(PEM))
    return ca


def server_context(folder: Path, kind: str = "good") -> ssl.SSLContext:
    """A server that shows the certificate of `kind`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / f"{kind}.pem")
    return context
