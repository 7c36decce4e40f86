"""Content credentials: what is signed says how it was made, and any change to it is told."""

import shutil
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import av
import numpy as np
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from PIL import Image
from skimage.data import astronaut

from incarnate.audio import Waveform
from incarnate.io.credentials import CHAIN, KEY, Credential, credential, named, self_made
from incarnate.io.film import film_frames
from incarnate.io.pictures import write_picture
from incarnate.io.provenance import Making, Origin, credited, read_manifest, ready, side_car
from incarnate.io.soundtrack import RATE, add_sound
from incarnate.io.video import write_video
from incarnate.progress import Silent

MAKING = Making("talk", "one-shot-one-talk", 3, 0, "c0ffee42")
ORIGIN = Origin(MAKING, "Ja, gerne – für „Hallo“.")


def written(path: Path) -> None:
    """A small file of the kind that its ending says."""
    picture = astronaut()[::4, ::4]
    match path.suffix:
        case ".png" | ".jpg":
            write_picture(path, picture)
        case ".mp4" | ".webm":
            write_video(path, [np.roll(picture, k, 1) for k in range(4)], 25)
        case _:
            path.write_bytes(b"solid " * 1000)


def made(path: Path, origin: Origin | None = ORIGIN) -> Path:
    with credited(path, origin, Silent()) as draft:
        written(draft)
    return path


def authority(folder: Path) -> Path:
    """The certificate that signed the self-made one, as others would be given it."""
    chain = x509.load_pem_x509_certificates(credential().chain)
    (folder / "authority.pem").write_bytes(chain[1].public_bytes(Encoding.PEM))
    return folder / "authority.pem"


@pytest.mark.parametrize("name", ["me.png", "me.jpg", "me.mp4", "me.webm", "me.glb", "me.ply"])
def test_a_manifest_says_what_made_it_and_who_agreed(name: str, tmp_path: Path):
    found = read_manifest(made(tmp_path / name))
    assert found is not None
    assert found.state == "valid" and found.faults == ("signingCredential.untrusted",)
    assert found.source == "trainedAlgorithmicMedia"
    assert found.generator.startswith("incarnate ")
    assert found.consent == ORIGIN.consent
    assert found.making == {
        "verb": "talk",
        "method": "one-shot-one-talk",
        "seed": 3,
        "avatar_seed": 0,
        "identity": "c0ffee42",
    }
    beside = name.endswith((".webm", ".glb", ".ply"))
    assert found.place == ("side-car" if beside else "embedded")
    assert {path.name for path in tmp_path.iterdir()} == {name, *([f"{name}.c2pa"] * beside)}


@pytest.mark.parametrize("name", ["me.png", "me.jpg", "me.mp4", "me.webm", "me.glb"])
def test_one_changed_byte_is_told(name: str, tmp_path: Path):
    path = made(tmp_path / name)
    data = path.read_bytes()
    for at in (len(data) // 3, len(data) // 2, len(data) - 20):
        path.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
        found = read_manifest(path)
        assert found is not None and found.state in ("invalid", "unreadable")
    path.write_bytes(data)
    found = read_manifest(path)
    assert found is not None and found.state == "valid"


def test_a_changed_side_car_and_that_of_another_file_are_told(tmp_path: Path):
    path = made(tmp_path / "me.glb")
    car = side_car(path)
    data = car.read_bytes()
    at = data.index(b"gerne")
    car.write_bytes(data[:at] + b"ungern"[:5] + data[at + 5 :])
    changed = read_manifest(path)
    assert changed is not None and changed.state == "invalid"
    car.write_bytes(data)
    path.write_bytes(b"another")
    other = read_manifest(path)
    assert other is not None and other.state == "invalid"
    assert "assertion.dataHash.mismatch" in other.faults
    car.write_bytes(b"nonsense")
    broken = read_manifest(path)
    assert broken is not None and broken.state == "unreadable"


def test_who_trusts_the_authority_trusts_the_file(tmp_path: Path):
    found = read_manifest(made(tmp_path / "me.png"), authority(tmp_path))
    assert found is not None and found.state == "trusted" and found.faults == ()
    with pytest.raises(ValueError, match="holds no certificates to trust"):
        read_manifest(tmp_path / "me.png", tmp_path / "me.png")


def test_signing_leaves_pictures_and_sound_alone(tmp_path: Path):
    rgba = np.dstack([astronaut()[::4, ::4], np.arange(128 * 128).reshape(128, 128) % 256])
    with credited(tmp_path / "me.png", ORIGIN, Silent()) as draft:
        write_picture(draft, rgba.astype(np.uint8))
    assert (np.asarray(Image.open(tmp_path / "me.png")) == rgba).all()
    written(tmp_path / "plain.mp4")
    sound = Waveform(np.sin(np.arange(RATE // 4) / 20).astype(np.float32), RATE)
    add_sound(tmp_path / "plain.mp4", [sound], tmp_path / "heard.mp4")
    with credited(tmp_path / "signed.mp4", ORIGIN, Silent()) as draft:
        shutil.copy(tmp_path / "heard.mp4", draft)
    ours, theirs = (
        [frame.rgb for frame in film_frames(tmp_path / name)]
        for name in ("plain.mp4", "signed.mp4")
    )
    assert np.array_equal(np.stack(ours), np.stack(theirs))
    heard = []
    for name in ("heard.mp4", "signed.mp4"):
        with av.open(str(tmp_path / name)) as film:
            heard.append(np.concatenate([f.to_ndarray() for f in film.decode(audio=0)], 1))
    assert np.array_equal(*heard)


def test_without_an_origin_nothing_is_said_and_old_words_go(tmp_path: Path):
    path = made(tmp_path / "me.glb")
    assert side_car(path).exists()
    made(path, None)
    assert read_manifest(path) is None
    assert [one.name for one in tmp_path.iterdir()] == ["me.glb"]
    assert read_manifest(made(tmp_path / "me.png", None)) is None


def test_what_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path, monkeypatch):
    path = made(tmp_path / "me.png")
    before = path.read_bytes()
    with pytest.raises(KeyboardInterrupt), credited(path, ORIGIN, Silent()) as draft:
        written(draft)
        raise KeyboardInterrupt
    unfit = tmp_path / "unfit.pem"
    key = ec.generate_private_key(ec.SECP256R1())
    unfit.write_bytes(pem_of(key) + certificate_of(key))
    monkeypatch.setenv(CHAIN, str(unfit))
    monkeypatch.setenv(KEY, str(unfit))
    with pytest.raises(ValueError, match="signing as 'me' failed"):
        made(path)
    with pytest.raises(ValueError, match="signing as 'me' failed"):
        ready()
    assert path.read_bytes() == before
    assert sorted(one.name for one in tmp_path.iterdir()) == ["me.png", "unfit.pem"]


def test_all_that_is_written_beside_goes_along(tmp_path: Path):
    with credited(tmp_path / "me.obj", ORIGIN, Silent()) as draft:
        for name in ("me.obj", "me.mtl", "me.png"):
            written(draft.with_name(name))
    assert {one.name for one in tmp_path.iterdir()} == {
        *("me.obj", "me.obj.c2pa", "me.mtl", "me.mtl.c2pa", "me.png")
    }
    for name in ("me.obj", "me.mtl", "me.png"):
        found = read_manifest(tmp_path / name)
        assert found is not None and found.state == "valid"


def test_the_self_made_credential_is_kept_and_private(tmp_path: Path, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    first = credential()
    assert first == credential() and first.holder == "incarnate, self-made"
    assert stat.S_IMODE(self_made().stat().st_mode) == 0o600
    assert stat.S_IMODE(self_made().parent.stat().st_mode) == 0o700
    assert [one.name for one in self_made().parent.iterdir()] == ["credential.pem"]
    assert self_made().read_bytes().count(b"PRIVATE KEY-----") == 2, "the authority's is gone"
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "other"))
    assert credential().key != first.key
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "file"))
    with pytest.raises(OSError, match=r"cannot be kept in .* --no-provenance"):
        credential()


def pem_of(key) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())


def certificate_of(key, days: int = 30) -> bytes:
    """Signed by itself, with nothing that C2PA asks for: good for reading, not for signing."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "me")])
    start = datetime.now(UTC) - timedelta(days=60)
    digest = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(start)
        .not_valid_after(start + timedelta(days=60 + days))
        .sign(key, digest)
    )
    return certificate.public_bytes(Encoding.PEM)


def own(folder: Path, monkeypatch, certificate: bytes, key: bytes) -> None:
    for variable, name, data in ((CHAIN, "chain.pem", certificate), (KEY, "key.pem", key)):
        (folder / name).write_bytes(data)
        monkeypatch.setenv(variable, str(folder / name))


KEYS = {
    "es256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "es384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "ps256": lambda: rsa.generate_private_key(65537, 2048),
}


@pytest.mark.parametrize("algorithm", KEYS)
def test_a_credential_of_the_users_own_is_taken(algorithm: str, tmp_path: Path, monkeypatch):
    key = KEYS[algorithm]()
    own(tmp_path, monkeypatch, certificate_of(key), pem_of(key))
    found = named()
    assert found is not None and (found.algorithm, found.holder) == (algorithm, "me")


def test_an_own_credential_signs(tmp_path: Path, monkeypatch):
    ours: Credential = credential()
    own(tmp_path, monkeypatch, ours.chain, ours.key)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "never"))
    found = read_manifest(made(tmp_path / "me.png"))
    assert found is not None and found.state == "valid"
    assert not (tmp_path / "never").exists()


def test_what_is_no_credential_is_refused(tmp_path: Path, monkeypatch):
    one, other = KEYS["es256"](), KEYS["es256"]()
    monkeypatch.setenv(CHAIN, "chain.pem")
    with pytest.raises(ValueError, match="go together"):
        named()
    own(tmp_path, monkeypatch, certificate_of(one), pem_of(other))
    with pytest.raises(ValueError, match="not that of the key"):
        named()
    own(tmp_path, monkeypatch, certificate_of(one, -1), pem_of(one))
    with pytest.raises(ValueError, match="the certificate ended on"):
        named()
    own(tmp_path, monkeypatch, b"nonsense", pem_of(one))
    with pytest.raises(ValueError, match="wanted are certificates and a private key"):
        named()
    curve = ec.generate_private_key(ec.SECP256K1())
    own(tmp_path, monkeypatch, certificate_of(curve), pem_of(curve))
    with pytest.raises(ValueError, match="keys are P-256"):
        named()
    monkeypatch.setenv(KEY, str(tmp_path / "nowhere.pem"))
    with pytest.raises(FileNotFoundError):
        named()
