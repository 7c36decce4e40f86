"""A directory in the layout of the embedded priors, of a few thousand random numbers."""

from pathlib import Path

import torch
from diffusers.models.unets.unet_motion_model import MotionAdapter

from incarnate.priors.pose import PoseGuider
from tests.priors import tiny
from tests.priors.tiny_motion import loud

FRAMES = 8
GUIDERS = {"pose": 3, "normal": 3, "projection": 4}


def written(folder: Path) -> Path:
    """The base, a guider for each kind, and motion modules."""
    schedule = {
        "prediction_type": "v_prediction",
        "rescale_betas_zero_snr": True,
        "timestep_spacing": "trailing",
        "set_alpha_to_one": True,
    }
    words = {"addition_embed_type": "text", "addition_embed_type_num_heads": 2}
    tiny.stable(folder, net=loud(tiny.unet(**words)), **schedule)
    for seed, (name, channels) in enumerate(GUIDERS.items()):
        guider(folder / name, channels, seed)
    torch.manual_seed(9)
    motion = MotionAdapter(
        block_out_channels=(8, 16),
        motion_layers_per_block=1,
        motion_num_attention_heads=2,
        motion_norm_num_groups=4,
        motion_max_seq_length=FRAMES,
        use_motion_mid_block=False,
    )
    loud(motion).save_pretrained(folder / "motion")
    (folder / "README.md").write_text("---\nlicense: mit\n---\n")
    return folder


def guider(folder: Path, channels: int = 3, seed: int = 0, width: int = 8) -> Path:
    """A guider that has something to say."""
    torch.manual_seed(seed)
    loud(PoseGuider(width, (4, 8), channels)).save_pretrained(folder)
    return folder


def named(folder: Path) -> str:
    """The whole of it, as `hub.load` is told."""
    return "+".join([str(folder), *(f"{k}:{folder / k}" for k in GUIDERS)]) + (
        f"+motion:{folder / 'motion'}"
    )
