"""The DKIM edge: keys, signatures and their verification. The only room that imports dkimpy.

Guarantees: every signature covers From and each protected name once more than it occurs (RFC 6376 §8.15),
so that nothing can be added under it; relaxed/relaxed, SHA-256, `t=`, never `l=`. What is signed are the
bytes that go on the wire: a body with a bare CR or LF is refused, not repaired.

Canonicalisation and the choice of headers are dkimpy's in result, and tested to be, but not run by its regular
expressions. The private-key operation goes through `cryptography`, which is 25 times faster and releases the
GIL, so that signatures can be made in threads beside the loop. Refuses to let a message go without an RSA
signature: Ed25519 (RFC 8463) is only ever a second one.
"""

import base64
import functools
import hashlib
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import cast

import dkim
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from dkim.canonicalization import correct_empty_body, strip_trailing_lines
from dkim.util import InvalidTagValueList, parse_tag_value

RSA_BITS = 2048  # RFC 8301 §3.2; Gmail recommends as many

PROTECTED = (
    b"from", b"to", b"cc", b"subject", b"date", b"message-id", b"reply-to", b"sender", b"mime-version",
    b"content-type", b"content-transfer-encoding", b"list-unsubscribe", b"list-unsubscribe-post",
    b"in-reply-to", b"references", b"auto-submitted", b"feedback-id", b"x-ao-ref",
)  # fmt: skip

Headers = Sequence[tuple[bytes, bytes]]
Key = RSAPrivateKey | Ed25519PrivateKey

MOST_SIGNATURES = 5  # of a stranger's message; each costs a hash of its body and a look-up
MOST_HEAD = 64 * 1024  # dkimpy joins folded header lines in quadratic time

_FIELD = b"DKIM-Signature"
_WIDTH = 76
_LINE = _WIDTH - 1  # octets of the signature beside the space they begin with
_HEAD = _LINE - len("b=")
_PIECE = 2047  # octets that hashlib digests without letting other threads run
_HASHED_AT_ONCE = 64 * 1024
_PKCS1 = PKCS1v15()
_SHA256 = Prehashed(hashes.SHA256())
_DOMAIN = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)+")
_SELECTOR = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*")


class Algorithm(StrEnum):
    """Signature algorithms by their `a=` tag; the one a selector's key is for."""

    RSA = "rsa-sha256"
    ED25519 = "ed25519-sha256"


class BadKey(ValueError):
    """The private key cannot be read, is of another kind than said, or is too short; the text shows none of
    it.
    """


class Unsignable(ValueError):
    """The message must not be signed as it is, or there is no key that may sign it."""


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A fresh key: PKCS#8 PEM, to be sealed at once, and the TXT record that publishes its other half."""

    private_pem: bytes = field(repr=False)
    public_record: str


@dataclass(frozen=True, slots=True)
class Signer:
    """A key loaded for one domain and selector; made by `load`, kept for as long as the key is active."""

    domain: str
    selector: str
    algorithm: Algorithm
    key: Key = field(repr=False)

    @property
    def public_record(self) -> str:
        """The TXT record expected at `<selector>._domainkey.<domain>`."""
        return _public_record(self.key)


@dataclass(frozen=True, slots=True)
class Verified:
    """One DKIM-Signature of a message and whether it holds."""

    domain: str
    selector: str
    algorithm: str
    valid: bool


def generate(algorithm: Algorithm) -> KeyPair:
    """A new key pair."""
    key: Key
    if algorithm is Algorithm.RSA:
        key = generate_private_key(public_exponent=65537, key_size=RSA_BITS)
    else:
        key = Ed25519PrivateKey.generate()
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return KeyPair(pem, _public_record(key))


def load(domain: str, selector: str, algorithm: Algorithm, private_pem: bytes) -> Signer:
    """A signer for `<selector>._domainkey.<domain>` (A-labels, lower case); raises BadKey."""
    if not _DOMAIN.fullmatch(domain) or not _SELECTOR.fullmatch(selector):
        raise BadKey(f"{selector!r} of {domain!r} is not a place for a DKIM record")
    try:
        key = serialization.load_pem_private_key(private_pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise BadKey(f"the private key of {selector} at {domain} cannot be read") from None
    if algorithm is Algorithm.ED25519 and isinstance(key, Ed25519PrivateKey):
        return Signer(domain, selector, algorithm, key)
    if algorithm is Algorithm.RSA and isinstance(key, RSAPrivateKey) and key.key_size >= RSA_BITS:
        return Signer(domain, selector, algorithm, key)
    raise BadKey(f"the private key of {selector} at {domain} is not {algorithm} of {RSA_BITS} bits or more")


def body_hash(body: bytes) -> bytes:
    """The `bh=` value of a wire body; computed once, it serves every recipient and both algorithms.

    Raises Unsignable for a bare CR or LF: servers differ in what they make of it, and a changed byte is a
    broken signature at best (RFC 6376 §5.3), a smuggled message at worst.
    """
    ends = body.count(b"\r\n")
    if len(body) - len(body.translate(None, b"\r\n")) != 2 * ends:
        raise Unsignable("the body has a bare CR or LF")
    if body and not body.endswith(b"\r\n"):
        body += b"\r\n"
    return base64.b64encode(_sha256(_relaxed(body)))


def sign(
    headers: Headers, body: bytes, signers: Sequence[Signer], now: int, *, bh: bytes | None = None
) -> bytes:
    """DKIM-Signature header lines, each ending in CRLF, to put on top of the message; RSA first.

    `headers` are (name, folded value without the last CRLF) in wire order, `now` the Unix time in seconds,
    `bh` what `body_hash(body)` returned earlier. Raises Unsignable without exactly one From, or without an
    RSA signer.
    """
    present = _protected(headers)
    counts = tuple(map(len, present.values()))
    if len(present[b"from"]) != 1:
        raise Unsignable("a message has exactly one From")
    if not any(signer.algorithm is Algorithm.RSA for signer in signers):
        raise Unsignable("a message is signed with RSA or not sent")
    hashed = _hashed(present)
    closing = b"t=%d; bh=%s;" % (now, bh or body_hash(body))
    ordered = sorted(signers, key=lambda signer: signer.algorithm is not Algorithm.RSA)
    return b"".join([_signature(signer, counts, hashed, closing) for signer in ordered])


def verify(raw: bytes, txt: Callable[[str], str | None]) -> tuple[Verified, ...]:
    """Every DKIM-Signature of a raw message, from the top, judged by dkimpy.

    `txt` answers for a record name without the trailing dot. A signature that cannot even be read is invalid,
    a message that cannot be read has none.
    """
    try:
        count = sum(name.lower() == b"dkim-signature" for name, _ in dkim.DKIM(raw).headers)
    except dkim.DKIMException:
        return ()
    return tuple(_verified(raw, place, txt) for place in range(count))


def holds(raw: bytes, signer: Signer, record: str) -> bool:
    """Whether this signer has signed a raw message of ours, judged by dkimpy with a key that the DNS shows."""
    wanted = (b"d=%s;" % signer.domain.encode(), b"s=%s;" % signer.selector.encode())
    fields = [value for name, value in dkim.DKIM(raw).headers if name.lower() == b"dkim-signature"]
    places = [place for place, value in enumerate(fields) if all(tag in value for tag in wanted)]
    return any(_verified(raw, place, lambda _: record).valid for place in places)


def vouched(raw: bytes, domains: Collection[str], txt: Callable[[str], str | None]) -> str:
    """The first of these domains (A-labels, lower case) that has signed this message, or "".

    For messages of strangers: at most MOST_SIGNATURES are looked at, and only these domains' keys are asked for. A
    signature over a part of the body (`l=`) vouches for nothing: what stands below that part is anybody's.
    """
    head = raw.find(b"\n\n" if b"\r\n\r\n" not in raw else b"\r\n\r\n", 0, MOST_HEAD)
    if head < 0:
        return ""
    try:
        fields = [value for name, value in dkim.DKIM(raw).headers if name.lower() == b"dkim-signature"]
    except dkim.DKIMException:
        return ""
    for place, value in enumerate(fields[:MOST_SIGNATURES]):
        domain = _whole_body_signer(value)
        if domain in domains and _verified(raw, place, txt).valid:
            return domain
    return ""


def _whole_body_signer(value: bytes) -> str:
    """The `d=` of a signature, unless it says that it covers only a part of the body."""
    try:
        tags = parse_tag_value(value)
    except InvalidTagValueList:
        return ""
    return "" if b"l" in tags else str(tags.get(b"d", b"").decode("ascii", "replace").lower())


def _sha256(text: bytes) -> bytes:
    """In pieces for which hashlib keeps the interpreter: to get it back takes longer than to hash a few of them."""
    if len(text) > _HASHED_AT_ONCE:
        return hashlib.sha256(text).digest()
    digest = hashlib.sha256()
    for start in range(0, len(text), _PIECE):
        digest.update(text[start : start + _PIECE])
    return digest.digest()


def _relaxed(body: bytes) -> bytes:
    """RFC 6376 §3.4.4."""
    return cast(bytes, correct_empty_body(strip_trailing_lines(_compressed(body).replace(b" \r\n", b"\r\n"))))


def _compressed(text: bytes) -> bytes:
    """Each run of spaces and tabs as one space; a few searches, where a regular expression takes ten times as long."""
    text = text.replace(b"\t", b" ")
    while b"  " in text:
        text = text.replace(b"  ", b" ")
    return text


def _verified(raw: bytes, place: int, txt: Callable[[str], str | None]) -> Verified:
    def dnsfunc(name: bytes, timeout: float = 0) -> bytes:  # noqa: ARG001 dkimpy passes it by name
        return (txt(name.decode("ascii").rstrip(".")) or "").encode("ascii")

    reader = dkim.DKIM(raw)
    try:
        valid = bool(reader.verify(idx=place, dnsfunc=dnsfunc))
    except (dkim.DKIMException, ValueError):
        valid = False
    tag = reader.signature_fields.get
    domain, selector, algorithm = (tag(name, b"").decode("ascii", "replace") for name in (b"d", b"s", b"a"))
    return Verified(domain, selector, algorithm, valid)


def _protected(headers: Headers) -> dict[bytes, list[bytes]]:
    """The lines to be hashed (RFC 6376 §3.4.2) under their names: all of PROTECTED, in its order."""
    present: dict[bytes, list[bytes]] = {name: [] for name in PROTECTED}
    for written, value in headers:
        name = written.lower().rstrip()
        if name in present:
            unfolded = value.replace(b"\r\n", b"").replace(b"\n", b"") if b"\n" in value else value
            present[name].append(b"%s:%s\r\n" % (name, _compressed(unfolded).strip()))
    return present


def _hashed(present: Mapping[bytes, Sequence[bytes]]) -> bytes:
    """Of a name that occurs twice the last is hashed first (RFC 6376 §5.4.2)."""
    return b"".join([line for name in PROTECTED for line in reversed(present[name])])


def _signature(signer: Signer, counts: tuple[int, ...], hashed: bytes, closing: bytes) -> bytes:
    """One field, hashed as relaxed canonicalisation will see it: without the line breaks and with an empty `b=`."""
    flat, folded = _opening(signer.domain, signer.selector, signer.algorithm, counts)
    digest = _sha256(b"%sdkim-signature:%s %s b=" % (hashed, flat, closing))
    signature = base64.b64encode(_raw_signature(signer.key, digest))
    return b"%s: %s\r\n %s\r\n b=%s\r\n" % (_FIELD, folded, closing, _chopped(signature))


@functools.lru_cache(maxsize=1024)
def _opening(
    domain: str, selector: str, algorithm: Algorithm, counts: tuple[int, ...]
) -> tuple[bytes, bytes]:
    """The tags that messages with the same fields share, in one line and folded."""
    covered = (name for name, count in zip(PROTECTED, counts, strict=True) for _ in range(count + 1))
    tags = (
        (b"v", b"1"),
        (b"a", algorithm.encode()),
        (b"c", b"relaxed/relaxed"),
        (b"d", domain.encode("ascii")),
        (b"s", selector.encode("ascii")),
        (b"h", b" : ".join(covered)),
    )
    flat = b"".join(b"%s=%s; " % tag for tag in tags).rstrip(b" ")
    return flat, _folded(flat)


def _folded(value: bytes) -> bytes:
    """Break lines at spaces only, which relaxed canonicalisation undoes; dkimpy would cut a long `d=`."""
    lines: list[bytes] = []
    line = b" " * (len(_FIELD) + 1)
    for word in value.split(b" "):
        if len(line) + len(word) >= _WIDTH:
            lines.append(line)
            line = b""
        line += b" " + word
    return b"\r\n".join((*lines, line)).lstrip(b" ")


def _chopped(signature: bytes) -> bytes:
    """RFC 6376 §3.5: white space in `b=` is ignored."""
    lines = [signature[at : at + _LINE] for at in range(_HEAD, len(signature), _LINE)]
    return b"\r\n ".join([signature[:_HEAD], *lines])


def _raw_signature(key: Key, digest: bytes) -> bytes:
    if isinstance(key, RSAPrivateKey):
        return key.sign(digest, _PKCS1, _SHA256)
    return key.sign(digest)  # RFC 8463 §3: pure Ed25519 over the SHA-256 digest


def _public_record(key: Key) -> str:
    """RFC 6376 §3.6.1, RFC 8463 §4."""
    public = key.public_key()
    if isinstance(key, RSAPrivateKey):
        kind, form = "rsa", (serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    else:
        kind, form = "ed25519", (serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    return f"v=DKIM1; k={kind}; p={base64.b64encode(public.public_bytes(*form)).decode('ascii')}"
