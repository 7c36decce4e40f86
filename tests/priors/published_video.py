"""Published video families, Marigold, and what is known of their weights.

Configurations are those of the published config.json files. Where the counts are from:

    SVD-XT's parts     a paper's table of modules (UNet 1,524,623,082, VAE encoder 34,163,592 and
                       decoder 63,579,183, CLIP image encoder 632,076,800); 72 more are the 8 x 8
                       1 x 1 convolution behind the encoder, which the table leaves out
    motion modules     453,209,280 as its users count them; the published file of the second
                       version has 1,817,888,431 bytes, 4 for each of these and of 1,208,320
                       positions, and a header. The third has no module in the middle: 36,071,680
                       less, worked out below
    Marigold           Stable Diffusion 2's UNet (865,910,724) and four more channels in, as
                       counted for other such 8-channel UNets: 865,922,244
    Wan's parts        the headers of the published safetensors files, as their users summed them
    Wan-Animate        Wan's image-to-video model (16,395,083,584 by its headers) and what the
                       configuration tells of its own parts, worked out below by hand; the sum
                       agrees with a published file of 34.55 GB, two bytes a number
"""

import torch

from tests.priors.published import UNET_21, H, Model, V

CLIP_VISION_H = {
    "hidden_size": 1280,
    "intermediate_size": 5120,
    "num_hidden_layers": 32,
    "num_attention_heads": 16,
    "image_size": 224,
    "patch_size": 14,
    "projection_dim": 1024,
    "hidden_act": "gelu",
}
SVD_UNET = {
    "sample_size": 96,
    "in_channels": 8,
    "out_channels": 4,
    "block_out_channels": [320, 640, 1280, 1280],
    "down_block_types": ["CrossAttnDownBlockSpatioTemporal"] * 3 + ["DownBlockSpatioTemporal"],
    "up_block_types": ["UpBlockSpatioTemporal"] + ["CrossAttnUpBlockSpatioTemporal"] * 3,
    "cross_attention_dim": 1024,
    "num_attention_heads": [5, 10, 20, 20],
    "layers_per_block": 2,
    "addition_time_embed_dim": 256,
    "projection_class_embeddings_input_dim": 768,
    "num_frames": 25,
}
SVD_VAE = {
    "block_out_channels": [128, 256, 512, 512],
    "down_block_types": ["DownEncoderBlock2D"] * 4,
    "layers_per_block": 2,
    "latent_channels": 4,
    "sample_size": 768,
    "scaling_factor": 0.18215,
    "force_upcast": True,
}
MOTION = {
    "block_out_channels": [320, 640, 1280, 1280],
    "motion_layers_per_block": 2,
    "motion_max_seq_length": 32,
    "motion_mid_block_layers_per_block": 1,
    "motion_norm_num_groups": 32,
    "motion_num_attention_heads": 8,
    "use_motion_mid_block": True,
}
# A motion module of width c: two attentions of four c x c, a gated feed-forward of c x 8c and
# 4c x c, projections in and out of c x c, their biases (2c, 9c, 2c) and four norms of 2c.
MIDDLE = (8 + 12 + 2) * 1280**2 + (2 + 9 + 2 + 8) * 1280

CLIPS: dict[str, Model] = {
    "svd-xt unet": Model(
        "UNetSpatioTemporalConditionModel",
        SVD_UNET,
        1_524_623_082,
        {
            "conv_in.weight": (320, 8, 3, 3),
            "add_embedding.linear_1.weight": (1280, 768),
            "down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k.weight": (320, 1024),
            "down_blocks.0.resnets.0.temporal_res_block.conv1.weight": (320, 320, 3, 1, 1),
            "conv_out.weight": (4, 320, 3, 3),
        },
    ),
    "svd-xt vae": Model(
        "AutoencoderKLTemporalDecoder",
        SVD_VAE,
        34_163_592 + 72 + 63_579_183,
        {"decoder.time_conv_out.weight": (3, 3, 3, 1, 1)},
    ),
    "svd-xt image encoder": Model(
        "CLIPVisionModelWithProjection",
        CLIP_VISION_H,
        632_076_800,
        {"visual_projection.weight": (1024, 1280)},
    ),
    "motion v1.5.2": Model(
        "MotionAdapter",
        MOTION,
        453_209_280,
        {"mid_block.motion_modules.0.proj_in.weight": (1280, 1280)},
    ),
    "motion v1.5.3": Model(
        "MotionAdapter", MOTION | {"use_motion_mid_block": False}, 453_209_280 - MIDDLE
    ),
}
MARIGOLD: dict[str, Model] = {
    # depth-v1-1 and normals-v1-1 are one architecture.
    "unet": Model(
        "UNet2DConditionModel",
        UNET_21 | {"in_channels": 8},
        865_922_244,
        {"conv_in.weight": (320, 8, 3, 3), "conv_out.weight": (4, 320, 3, 3)},
    ),
    "vae": V,
    "text encoder": H,
}

WAN_1B = {
    "patch_size": [1, 2, 2],
    "num_attention_heads": 12,
    "attention_head_dim": 128,
    "in_channels": 16,
    "out_channels": 16,
    "text_dim": 4096,
    "freq_dim": 256,
    "ffn_dim": 8960,
    "num_layers": 30,
    "cross_attn_norm": True,
    "qk_norm": "rms_norm_across_heads",
}
WAN_14B = WAN_1B | {"num_attention_heads": 40, "ffn_dim": 13824, "num_layers": 40}
ANIMATE = WAN_14B | {
    "in_channels": 36,
    "latent_channels": 16,
    "image_dim": 1280,
    "added_kv_proj_dim": 5120,
    "motion_encoder_size": 512,
    "motion_style_dim": 512,
    "motion_dim": 20,
    "motion_encoder_dim": 512,
    "face_encoder_hidden_dim": 1024,
    "face_encoder_num_heads": 4,
    "inject_face_latents_blocks": 5,
}
WAN_VAE = {
    "base_dim": 96,
    "z_dim": 16,
    "dim_mult": [1, 2, 4, 4],
    "num_res_blocks": 2,
    "temperal_downsample": [False, True, True],
}
UMT5_XXL = {
    "vocab_size": 256384,
    "d_model": 4096,
    "d_kv": 64,
    "d_ff": 10240,
    "num_layers": 24,
    "num_heads": 64,
    "feed_forward_proj": "gated-gelu",
}
# In 40 layers a norm of 5120 is stored but used by nobody ('norm_added_q').
IMAGE_TO_VIDEO = 16_395_083_584 - 40 * 5120
SKELETON = 16 * 2 * 2 * 5120 + 5120
# Eight face blocks: four linear layers, norms of one head's queries and keys.
FACE_BLOCKS = 8 * (4 * (5120 + 1) * 5120 + 2 * 128)
# Three convolutions over three frames, a layer out, what stands for no face.
FACE_ENCODER = (3 * 512 + 1) * 4 * 1024 + 2 * (3 * 1024 + 1) * 1024 + (1024 + 1) * 5120 + 5120
# 512 pixels halved seven times: convolutions of 3 x 3 and 3 x 3 with biases, 1 x 1 without; one of
# 4 x 4; then linear layers, and directions of motion.
MOTION_WIDTHS = [32, 64, 128, 256, 512, 512, 512, 512]
MOTION_ENCODER = (
    (3 + 1) * 32
    + sum(
        (9 * a + 1) * a + (9 * a + 1) * b + a * b
        for a, b in zip(MOTION_WIDTHS, MOTION_WIDTHS[1:], strict=False)
    )
    + 16 * 512 * 512
    + 4 * (512 + 1) * 512
    + (512 + 1) * 20
    + 512 * 20
)
VACE_SHAPES = {
    "proj_out.weight": (16 * 4, 1536),
    "vace_patch_embedding.weight": (1536, 96, 1, 2, 2),
}

WAN: dict[str, Model] = {
    "vace 1.3B": Model(
        "WanVACETransformer3DModel",
        WAN_1B | {"vace_layers": list(range(0, 30, 2)), "vace_in_channels": 96},
        2_153_972_032,
        VACE_SHAPES | {"vace_blocks.14.proj_out.weight": (1536, 1536)},
    ),
    "vace 14B": Model(
        "WanVACETransformer3DModel",
        WAN_14B | {"vace_layers": list(range(0, 40, 5)), "vace_in_channels": 96},
        17_337_592_896,
        {"vace_patch_embedding.weight": (5120, 96, 1, 2, 2)},
    ),
    "animate 14B": Model(
        "WanAnimateTransformer3DModel",
        ANIMATE,
        IMAGE_TO_VIDEO + SKELETON + FACE_BLOCKS + FACE_ENCODER + MOTION_ENCODER,
        {
            "patch_embedding.weight": (5120, 36, 1, 2, 2),
            "pose_patch_embedding.weight": (5120, 16, 1, 2, 2),
            "motion_encoder.motion_synthesis_weight": (512, 20),
            "blocks.39.attn2.add_k_proj.weight": (5120, 5120),
        },
    ),
    "vae": Model(
        "AutoencoderKLWan",
        WAN_VAE,
        126_892_531,
        {"encoder.conv_in.weight": (96, 3, 3, 3, 3), "quant_conv.weight": (32, 32, 1, 1, 1)},
    ),
    "text encoder": Model(
        "UMT5EncoderModel", UMT5_XXL, 5_680_910_336, {"shared.weight": (256384, 4096)}
    ),
    # Without the projection, 1024 x 1280, of the one that Stable Video has.
    "image encoder": Model("CLIPVisionModel", CLIP_VISION_H, 632_076_800 - 1024 * 1280),
}


def check(model: Model) -> None:
    """The model builds, has as many parameters as its published weights, and their shapes."""
    built = model.built()
    weights = dict(built.named_parameters())
    large = [weight for weight in weights.values() if weight.numel() > 1]
    assert all(weight.device == torch.device("meta") for weight in large)
    assert sum(weight.numel() for weight in weights.values()) == model.parameters
    assert {name: tuple(weights[name].shape) for name in model.shapes} == model.shapes
