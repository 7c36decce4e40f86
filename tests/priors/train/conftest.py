"""A tiny Stable Diffusion of random weights, and shards of spheres in the studio's format."""

import io
import json
import tarfile
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.priors import tiny

JOINTS = ("pelvis", "left_hip", "right_hip", "spine1", "left_knee", "right_knee")
SIZE = 32
COUNT = 6
SHARDS = 2


@pytest.fixture(scope="session")
def base(tmp_path_factory) -> Path:
    """A diffusers directory: v-prediction, zero-terminal SNR."""
    return tiny.stable(
        tmp_path_factory.mktemp("models") / "base",
        prediction_type="v_prediction",
        rescale_betas_zero_snr=True,
        timestep_spacing="trailing",
    )


@pytest.fixture(scope="session")
def data(tmp_path_factory) -> Path:
    """Two shards of three spheres each, seen from all sides."""
    folder = tmp_path_factory.mktemp("data")
    (folder / "studio.json").write_text(json.dumps({"joints": JOINTS}))
    per_shard = COUNT // SHARDS
    for k in range(SHARDS):
        with tarfile.open(folder / f"studio-{k:06d}.tar", "w") as tar:
            for i in range(k * per_shard, (k + 1) * per_shard):
                for suffix, content in sphere(i).items():
                    entry = tarfile.TarInfo(f"{i:06d}.{suffix}")
                    entry.size = len(content)
                    tar.addfile(entry, io.BytesIO(content))
    return folder


def sphere(index: int) -> dict[str, bytes]:
    """The files of a sphere of radius 0.8 half-pictures, 3 metres away."""
    along = (np.arange(SIZE) + 0.5) / SIZE * 2 - 1
    x, y = np.meshgrid(along, along)
    hit = x**2 + y**2 < 0.64
    height = np.sqrt(np.maximum(0.64 - x**2 - y**2, 0))
    normal = np.stack([x, y, -height], -1) / 0.8
    depth = (3 - height) * hit
    stored = np.round((normal + 1) * 32767.5 * hit[..., None]).astype(np.uint16)
    rgb = np.zeros((SIZE, SIZE, 3), np.uint8)
    rgb[hit] = np.array([255, 40 * index, 0])
    told = {
        "caption": f"a ball raising its left arm, {index} stripes, upper body, side view",
        "framing": "upper",
        "azimuth": -3 + index,
        "joints": [[16, 16], [20, 18], [12, 18], [-1, -1], [20, 26], [12, 26]],
    }
    return {
        "png": _png(rgb[..., ::-1]),
        "alpha.png": _png(hit.astype(np.uint8) * 255),
        "normal.png": _png(stored[..., ::-1]),
        "depth.png": _png(np.round(depth / 0.0002).astype(np.uint16)),
        "json": json.dumps(told).encode(),
    }


def _png(pixels) -> bytes:
    done, content = cv2.imencode(".png", np.ascontiguousarray(pixels))
    assert done
    return content.tobytes()
