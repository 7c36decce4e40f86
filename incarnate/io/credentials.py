"""What outputs are signed with: a certificate of the user's own, or one made here at first use.

The user's own is named by two environment variables: a PEM file with the chain, the signer's
certificate first, and one with its private key. The one made here lies in the user's data folder,
readable by them alone; nobody vouches for it, so readers elsewhere call it untrusted, and whatever
it signed can be told to come from the same user. The key that vouched for it is thrown away.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Literal, final

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
    from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
    from cryptography.x509 import Certificate, CertificateBuilder, KeyUsage

CHAIN, KEY = "INCARNATE_CERTIFICATE", "INCARNATE_KEY"
"""The environment variables."""
NAME = "incarnate, self-made"
YEARS = 30
"""For which a self-made certificate holds: no time stamp says when something was signed."""

Algorithm = Literal["es256", "es384", "es512", "ps256", "ed25519"]
_CURVES: dict[str, Algorithm] = {"secp256r1": "es256", "secp384r1": "es384", "secp521r1": "es512"}


@final
@dataclass(frozen=True)
class Credential:
    """A signer: PEM text, its own certificate first."""

    chain: bytes
    key: bytes
    algorithm: Algorithm

    @property
    def holder(self) -> str:
        """The name in the certificate."""
        from cryptography.x509 import load_pem_x509_certificate
        from cryptography.x509.oid import NameOID

        names = load_pem_x509_certificate(self.chain).subject
        told = names.get_attributes_for_oid(NameOID.COMMON_NAME)
        return str(told[0].value) if told else names.rfc4514_string()


def credential() -> Credential:
    """The user's own credential, or the self-made one, which is made if there is none yet.

    Raises ValueError if what the variables name is none, OSError if a file cannot be read or kept.
    """
    own = named()
    if own is not None:
        return own
    place = self_made()
    if not place.exists():
        _keep(place, _made())
    text = place.read_bytes()
    return _checked(text, text, str(place))


def named() -> Credential | None:
    """The credential that the environment names; None if it names none."""
    chain, key = os.environ.get(CHAIN), os.environ.get(KEY)
    if not chain and not key:
        return None
    if not chain or not key:
        raise ValueError(f"{CHAIN} and {KEY} go together; set both, or neither")
    return _checked(Path(chain).read_bytes(), Path(key).read_bytes(), f"{chain} and {key}")


def self_made() -> Path:
    """Where the self-made credential lies, or will: key and certificates in one file."""
    data = os.environ.get("XDG_DATA_HOME")
    try:
        folder = Path(data) if data else Path.home() / ".local" / "share"
    except RuntimeError as error:
        raise FileNotFoundError(
            "there is no home folder to keep a credential in; set XDG_DATA_HOME to a folder, or "
            "give --no-provenance"
        ) from error
    return folder / "incarnate" / "credential.pem"


def authorities(path: Path) -> str:
    """The certificates of a PEM file, as PEM. ValueError if there are none."""
    from cryptography.x509 import load_pem_x509_certificates

    try:
        return _pem(load_pem_x509_certificates(path.read_bytes())).decode()
    except ValueError as error:
        raise ValueError(f"{path} holds no certificates to trust, as PEM ({error})") from error


def _checked(chain: bytes, key: bytes, files: str) -> Credential:
    """The credential of PEM texts; ValueError if the two are not one, or no longer hold."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        NoEncryption,
        PrivateFormat,
        load_pem_private_key,
    )
    from cryptography.x509 import load_pem_x509_certificates

    try:
        certificates = load_pem_x509_certificates(chain)
        secret = load_pem_private_key(key, None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise ValueError(
            f"{files}: wanted are certificates and a private key without password, as PEM ({error})"
        ) from error
    public = secret.public_key()
    if certificates[0].public_key() != public:
        raise ValueError(f"{files}: the first certificate is not that of the key")
    ends = certificates[0].not_valid_after_utc
    if ends < datetime.now(UTC):
        raise ValueError(f"{files}: the certificate ended on {ends:%Y-%m-%d}; get a new one")
    plain = secret.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return Credential(_pem(certificates), plain, _algorithm(public, files))


def _algorithm(public: "PublicKeyTypes", files: str) -> Algorithm:
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

    match public:
        case ec.EllipticCurvePublicKey() if public.curve.name in _CURVES:
            return _CURVES[public.curve.name]
        case rsa.RSAPublicKey():
            return "ps256"
        case ed25519.Ed25519PublicKey():
            return "ed25519"
        case _:
            raise ValueError(f"{files}: keys are P-256, P-384, P-521, RSA or Ed25519")


def _pem(certificates: "Sequence[Certificate]") -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding

    return b"".join(one.public_bytes(Encoding.PEM) for one in certificates)


def _keep(place: Path, data: bytes) -> None:
    """Writes it for the user's eyes only; who made one meanwhile is left alone."""
    part = place.with_name(f".{place.name}.{os.getpid()}.part")
    try:
        place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(data)
        try:
            os.link(part, place)
        except FileExistsError:
            pass
        finally:
            part.unlink()
    except OSError as error:
        raise OSError(
            f"the credential cannot be kept in {place.parent} ({error.strerror}): set XDG_DATA_HOME"
            f" to a folder of yours, name your own with {CHAIN} and {KEY}, or --no-provenance"
        ) from error


def _made() -> bytes:
    """A new key with its certificate, and that of an authority which signs this one alone."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
    from cryptography.x509.oid import ExtendedKeyUsageOID

    root, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    above = (
        _certificate(f"{NAME} authority", root.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(for_certificates=True), critical=True)
        .sign(root, hashes.SHA256())
    )
    authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(root.public_key())
    signer = (
        _certificate(NAME, key.public_key())
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(for_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), False)
        .add_extension(authority, critical=False)
        .sign(root, hashes.SHA256())
    )
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return secret + _pem([signer, above])


def _certificate(name: str, public: "EllipticCurvePublicKey") -> "CertificateBuilder":
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    def named_so(name: str) -> x509.Name:
        return x509.Name(
            [
                x509.NameAttribute(NameOID.ORGANIZATION_NAME, "incarnate"),
                x509.NameAttribute(NameOID.COMMON_NAME, name),
            ]
        )

    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(named_so(name))
        .issuer_name(named_so(f"{NAME} authority"))
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=365 * YEARS))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
    )


def _usage(for_certificates: bool) -> "KeyUsage":
    from cryptography.x509 import KeyUsage

    return KeyUsage(
        digital_signature=not for_certificates,
        key_cert_sign=for_certificates,
        crl_sign=for_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
