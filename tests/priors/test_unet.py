"""The pass through a UNet against diffusers' own, and what comes in through its doors."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from diffusers.models.unets.unet_motion_model import UNetMotionModel

from incarnate.priors.branches import Additions, Branches, References
from incarnate.priors.pose import PoseGuider
from incarnate.priors.unet import (
    inner_features,
    num_additions,
    num_references,
    predicted,
    reference_states,
)
from tests.priors.tiny_motion import CONTEXT, adapter, randn, unet

TOLD = torch.tensor([3.0, 700.0])


def given(count=2, height=8, width=8):
    x, context = randn(count, 4, height, width), randn(count, 5, CONTEXT, seed=1)
    return x, TOLD[:count], context


def clip(frames=3):
    return randn(2, 4, frames, 8, 8), TOLD, randn(2, 5, CONTEXT, seed=1)


@pytest.mark.parametrize("linear", [False, True])
@pytest.mark.parametrize("words", [False, True])
@pytest.mark.parametrize("size", [(8, 8), (7, 10)])
def test_without_branches_it_is_diffusers_pass_bit_for_bit(linear, words, size):
    model = unet(linear=linear, words=words)
    x, told, context = given(2, *size)
    with torch.no_grad():
        theirs = model(x, told, context).sample
        assert torch.equal(predicted(model, x, told, context), theirs)


def test_its_gradients_are_those_of_diffusers_also_with_layers_worked_out_again():
    model = unet()
    x, told, context = given()
    gradients = []
    model(x, told, context).sample.square().mean().backward()
    gradients.append([p.grad for p in model.parameters()])
    for _ in range(2):
        model.zero_grad()
        predicted(model, x, told, context).square().mean().backward()
        gradients.append([p.grad for p in model.parameters()])
        model.enable_gradient_checkpointing()
    for theirs, ours, again in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, theirs)
        torch.testing.assert_close(again, theirs)


@pytest.mark.parametrize("mid", [True, False])
def test_with_motion_modules_it_is_diffusers_motion_model(mid):
    model, motion = unet(), adapter(mid=mid)
    x, told, context = clip()
    theirs: Any = UNetMotionModel.from_unet2d(model, motion)
    theirs.eval()
    with torch.no_grad():
        ours = predicted(model, x, told, context, Branches(motion=motion))
        expected = theirs(x, told, context.repeat_interleave(3, 0)).sample
        still = predicted(model, x, told, context)
    assert torch.equal(ours, expected)
    assert not torch.allclose(ours, still, atol=1e-3)


def test_animate_anyones_motion_modules_normalise_each_frame_by_itself():
    """diffusers' module with its norm taken out, shown frames that are normalised one by one."""
    model, motion = unet(), adapter(mid=False)
    seen = []
    for blocks in (motion.down_blocks, motion.up_blocks):
        for name, parameter in blocks.named_parameters():
            if ".proj_out." in name:
                torch.nn.init.zeros_(parameter)
    first: Any = motion.get_submodule("down_blocks.0.motion_modules.0")
    torch.nn.init.normal_(first.proj_out.weight)
    # The first module alone speaks, and the layer behind it hears.
    model.get_submodule("down_blocks.0.resnets.1").register_forward_hook(
        lambda _, x, out: seen.append(x[0])
    )
    inputs = clip()
    with torch.no_grad():
        predicted(model, *inputs)
        predicted(model, *inputs, Branches(motion=motion, motion_norm="frame"))
        before, after = seen
        frames = torch.cat([first.norm(frame[None]) for frame in before])
        first.norm = torch.nn.Identity()
        expected = first(frames, num_frames=3) - frames + before
    torch.testing.assert_close(after, expected, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(after, before, atol=1e-2)


def test_a_clip_without_motion_modules_is_its_frames():
    model = unet()
    x, told, context = clip()
    with torch.no_grad():
        whole = predicted(model, x, told, context)
        for frame in range(3):
            alone = predicted(model, x[:, :, frame], told, context)
            # Convolutions of 6 and of 2 pictures may sum in another order.
            torch.testing.assert_close(whole[:, :, frame], alone, rtol=1e-5, atol=1e-6)


def naive_attention(attention, queries, keys):
    """Softmax attention in a loop over heads, from the weights alone."""
    q, k, v = attention.to_q(queries), attention.to_k(keys), attention.to_v(keys)
    size = q.shape[-1] // attention.heads
    outs = []
    for head in range(attention.heads):
        part = slice(head * size, (head + 1) * size)
        scores = torch.einsum("rqc,rkc->rqk", q[..., part], k[..., part]) / size**0.5
        outs.append(torch.einsum("rqk,rkc->rqc", scores.softmax(-1), v[..., part]))
    return attention.to_out[0](torch.cat(outs, -1))


def only_block():
    """A UNet with the states of a reference that only its first transformer block gets to see."""
    model = unet()
    x, told, context = given()
    own = reference_states(model, x, told, context)
    other = reference_states(unet(5), randn(2, 4, 8, 8, seed=9), torch.zeros(2), context)
    return model, (x, told, context), own, other


def test_reference_states_are_keys_and_values_behind_the_own_ones():
    model, inputs, own, other = only_block()
    attention = model.get_submodule("down_blocks.0.attentions.0.transformer_blocks.0.attn1")
    seen = {}
    attention.register_forward_hook(lambda module, told, out: seen.update(out=out))
    with torch.no_grad():
        predicted(model, *inputs, Branches(references=References(other)))
        expected = naive_attention(attention, own[0], torch.cat([own[0], other[0]], 1))
        alone = naive_attention(attention, own[0], own[0])
    torch.testing.assert_close(seen["out"], expected, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(expected, alone, atol=1e-2)


def test_every_reference_state_changes_what_comes_out():
    model, inputs, own, other = only_block()
    assert len(own) == num_references(model) == 6
    with torch.no_grad():
        for i in range(len(own)):
            # Own states read twice change nothing: every key has its double.
            states = (*own[:i], other[i], *own[i + 1 :])
            changed = predicted(model, *inputs, Branches(references=References(states)))
            assert not torch.allclose(changed, predicted(model, *inputs), atol=1e-4)
        doubled = predicted(model, *inputs, Branches(references=References(own)))
        torch.testing.assert_close(doubled, predicted(model, *inputs), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("clips", [False, True])
def test_only_the_readers_read_and_one_state_serves_all_of_them(clips):
    model, inputs, _, other = only_block()
    inputs = clip() if clips else inputs
    second = tuple(state[1:] for state in other)
    with torch.no_grad():
        part = predicted(model, *inputs, Branches(references=References(second, (1,))))
        both = predicted(model, *inputs, Branches(references=References(second)))
        none = predicted(model, *inputs)
    torch.testing.assert_close(part[0], none[0], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(part[1], both[1], rtol=1e-4, atol=1e-5)
    assert not torch.allclose(both[0], none[0], atol=1e-3)


def additions(model, scale=1.0):
    down, up = num_additions(model)
    sizes = [(8, 8), (8, 8), (8, 8), (8, 4), (16, 4), (16, 4)]
    ups = [(16, 4), (16, 4), (16, 4), (16, 8), (8, 8), (8, 8), (8, 8)]
    assert (down, up) == (len(sizes), len(ups))

    def of(size):
        return scale * randn(2, size[0], size[1], size[1], seed=8)

    return Additions(tuple(map(of, sizes)), of((16, 4)), tuple(map(of, ups)))


def test_additions_of_zero_change_no_bit_and_each_other_one_changes_the_output():
    model = unet()
    inputs = given()
    zeros, some = additions(model, scale=0.0), additions(model)
    with torch.no_grad():
        plain = predicted(model, *inputs)
        assert torch.equal(predicted(model, *inputs, Branches(added=zeros)), plain)
        assert torch.equal(predicted(model, *inputs, Branches(added=some.times(0.0))), plain)
        for name in ("down", "up"):
            for i, one in enumerate(getattr(some, name)):
                side = getattr(zeros, name)
                alone = replace(zeros, **{name: (*side[:i], one, *side[i + 1 :])})
                said = predicted(model, *inputs, Branches(added=alone))
                assert not torch.allclose(said, plain, atol=1e-3), (name, i)
        said = predicted(model, *inputs, Branches(added=replace(zeros, mid=some.mid)))
        assert not torch.allclose(said, plain, atol=1e-3)


def test_additions_on_the_way_down_go_on_and_are_remembered_for_the_way_up():
    """diffusers adds a ControlNet's to the skips only: a hook adds the last one to what goes on."""
    model = unet()
    x, told, context = given()
    zeros, some = additions(model, scale=0.0), additions(model)
    added = replace(zeros, down=(*zeros.down[:-1], some.down[-1]), mid=some.mid)
    with torch.no_grad():
        ours = predicted(model, x, told, context, Branches(added=added))
        middle: Any = model.mid_block
        middle.register_forward_pre_hook(lambda _, x: (x[0] + some.down[-1], *x[1:]))
        theirs = model(
            x,
            told,
            context,
            down_block_additional_residuals=added.down,
            mid_block_additional_residual=added.mid,
        ).sample
    torch.testing.assert_close(ours, theirs)


def test_pose_features_are_added_to_the_first_ones():
    model = unet()
    x, told, context = given()
    pose = randn(2, 8, 8, 8, seed=4)
    with torch.no_grad():
        ours = predicted(model, x, told, context, Branches(pose=pose))
        hook = model.conv_in.register_forward_hook(lambda *given: pose + given[2])
        theirs = model(x, told, context).sample
        hook.remove()
    assert torch.equal(ours, theirs)


def test_inner_features_are_the_middle_and_the_first_block_above_it_deepest_first():
    model = unet()
    seen = []
    for name in ("mid_block", "up_blocks.0"):
        model.get_submodule(name).register_forward_hook(lambda module, given, out: seen.append(out))
    with torch.no_grad():
        model(*given())
        ours = inner_features(model, *given())
        clips = inner_features(model, *clip(), Branches(motion=adapter()))
    assert [torch.equal(a, b) for a, b in zip(ours, seen, strict=True)] == [True] * 2
    assert [f.shape[:3] for f in clips] == [(2, 16, 3), (2, 16, 3)]


def test_stable_diffusion_has_28_additions_and_16_reference_states():
    with torch.device("meta"):
        model = UNet2DConditionModel(cross_attention_dim=768)
    assert num_additions(model) == (12, 15)
    assert num_references(model) == 16
    states = reference_states(
        model,
        torch.empty(1, 4, 16, 16, device="meta"),
        torch.empty(1, device="meta"),
        torch.empty(1, 1, 768, device="meta"),
    )
    assert [state.shape[1:] for state in states] == (
        [(256, 320)] * 2
        + [(64, 640)] * 2
        + [(16, 1280)] * 2
        + [(4, 1280)]
        + [(16, 1280)] * 3
        + [(64, 640)] * 3
        + [(256, 320)] * 3
    )


@pytest.mark.parametrize(
    "branches, message",
    [
        (Branches(motion=adapter()), "want a clip"),
        (Branches(motion=adapter(widths=(8, 32))), "want a clip"),
        (Branches(references=References(())), "0 reference states came for 6"),
        (Branches(added=Additions((), torch.zeros(1, 1, 1, 1), ())), "wants 6 and 7"),
    ],
)
def test_branches_of_another_network_are_refused(branches, message):
    with pytest.raises(ValueError, match=message):
        predicted(unet(), *given(), branches)


def test_motion_modules_of_other_widths_are_refused():
    with pytest.raises(ValueError, match=r"widths \(8, 32\) came for a UNet of \(8, 16\)"):
        predicted(unet(), *clip(), Branches(motion=adapter(widths=(8, 32))))


OTHERWISE: dict[str, dict[str, Any]] = {
    "num_class_embeds": {"num_class_embeds": 3},
    "addition_embed_type": {
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": 8,
        "projection_class_embeddings_input_dim": 64,
    },
}


@pytest.mark.parametrize("name", OTHERWISE)
def test_a_unet_that_conditions_otherwise_is_refused(name):
    with torch.device("meta"):
        model = UNet2DConditionModel(block_out_channels=(32, 32, 32, 32), **OTHERWISE[name])
    with pytest.raises(ValueError, match=f"has {name}"):
        predicted(model, *given())


def test_a_pose_guider_says_nothing_at_first_and_has_as_many_weights_as_on_paper(tmp_path):
    guider = PoseGuider()
    # 3x3 kernels and biases: in, (same, double) thrice, out to 320.
    kernels = [(3, 16), (16, 16), (16, 32), (32, 32), (32, 64), (64, 64), (64, 128), (128, 320)]
    paper = sum(9 * a * b + b for a, b in kernels)
    assert sum(p.numel() for p in guider.parameters()) == paper == 514896
    said = guider(randn(1, 3, 16, 24))
    assert said.shape == (1, 320, 2, 3)
    assert not said.any()
    small = PoseGuider(8, (4, 6))
    torch.nn.init.normal_(small.conv_out.weight)
    small.save_pretrained(tmp_path)
    assert [p.name for p in sorted(tmp_path.iterdir())] == [
        "config.json",
        "diffusion_pytorch_model.safetensors",
    ]
    again = PoseGuider.from_pretrained(tmp_path)
    x = randn(1, 3, 8, 8)
    assert small(x).shape == (1, 8, 4, 4)
    assert torch.equal(again(x), small(x))
