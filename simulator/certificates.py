"""Certificates: of a small authority for those who prove their names, and a self-signed one for everybody else.

Written to `cert_dir` (ca.pem, relay.pem, sts.pem, mx.pem) and used again by the next start while they are valid, so
that a client which has loaded ca.pem need not be told. Only for loopback: the keys lie beside the
certificates.
"""

import datetime as dt
import ipaddress
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from simulator import hosts
from simulator.hosts import Host, Proof
from simulator.policies import POLICIES

LIFETIME: Final = dt.timedelta(days=90)
RELAY_NAMES: Final = ("localhost", "relay.test")
FILES: Final = ("ca.pem", "relay.pem", "sts.pem", "mx.pem")


@dataclass(frozen=True, slots=True)
class Contexts:
    """Server contexts, and the authority's certificate with which a client verifies the relay and `named`.

    `named` is for mail hosts and policy hosts that prove their names.
    """

    exchangers: ssl.SSLContext
    relay: ssl.SSLContext
    named: ssl.SSLContext
    ca_file: Path

    def of(self, host: Host) -> ssl.SSLContext:
        """What a host shows."""
        if host.proof is Proof.OF_ITSELF:
            return self.exchangers
        return self.relay if host.relay or host.proof is Proof.OF_ANOTHER_NAME else self.named


@dataclass(frozen=True, slots=True)
class Identity:
    """A key and its certificate."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    def pem(self) -> bytes:
        """Key and certificate, as `SSLContext.load_cert_chain` wants them."""
        key = self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return key + self.certificate.public_bytes(serialization.Encoding.PEM)


def contexts(folder: Path, now: dt.datetime) -> Contexts:
    """Load the certificates in `folder`, making them first if they are missing or near their end."""
    if not _usable(folder, now):
        _make(folder, now)
    return Contexts(
        exchangers=_context(folder / "mx.pem"),
        relay=_context(folder / "relay.pem"),
        named=_context(folder / "sts.pem"),
        ca_file=folder / "ca.pem",
    )


def _context(chain: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(chain)
    return context


def _usable(folder: Path, now: dt.datetime) -> bool:
    try:
        found = [x509.load_pem_x509_certificate((folder / name).read_bytes()) for name in FILES]
    except (OSError, ValueError):
        return False
    return all(certificate.not_valid_after_utc > now + LIFETIME / 2 for certificate in found)


def _make(folder: Path, now: dt.datetime) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    authority = issue("Small Internet CA", (), now, None)
    relay = issue("relay.test", RELAY_NAMES, now, authority)
    exchanger = issue("mx.test", ("mx.test", "*.test"), now, None)
    _write(folder / "ca.pem", authority.certificate.public_bytes(serialization.Encoding.PEM))
    _write(folder / "relay.pem", relay.pem())
    _write(folder / "sts.pem", issue("sts.test", _proven(), now, authority).pem())
    _write(folder / "mx.pem", exchanger.pem())


def _proven() -> tuple[str, ...]:
    """The names of mail hosts that prove them, and of policy hosts."""
    proven = (host.name for host in hosts.HOSTS if host.proof is Proof.OF_ITS_NAME)
    return (*proven, *(f"mta-sts.{domain}" for domain in POLICIES))


def _write(path: Path, content: bytes) -> None:
    path.touch(mode=0o600)
    path.write_bytes(content)


def issue(common_name: str, names: tuple[str, ...], now: dt.datetime, issuer: Identity | None) -> Identity:
    """A certificate for `names` and 127.0.0.1; self-signed without issuer, an authority without names."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + LIFETIME)
        .add_extension(x509.BasicConstraints(ca=not names, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(_authority_key(key, issuer), critical=False)
        .add_extension(_usage(authority=not names), critical=True)
    )
    if names:
        builder = builder.add_extension(_alternative(names), critical=False)
    return Identity(key, builder.sign(issuer.key if issuer else key, hashes.SHA256()))


def _alternative(names: tuple[str, ...]) -> x509.SubjectAlternativeName:
    loopback = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    return x509.SubjectAlternativeName([*(x509.DNSName(name) for name in names), loopback])


def _authority_key(key: ec.EllipticCurvePrivateKey, issuer: Identity | None) -> x509.AuthorityKeyIdentifier:
    return x509.AuthorityKeyIdentifier.from_issuer_public_key((issuer.key if issuer else key).public_key())


def _usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=authority,
        crl_sign=authority,
        encipher_only=False,
        decipher_only=False,
    )
