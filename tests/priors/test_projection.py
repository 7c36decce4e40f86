"""The projected-reference branch, alone, as a prior, and with Portrait Diffusion's additions."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from torch.nn.functional import interpolate

from incarnate.priors import (
    Condition,
    Pose,
    Projection,
    Schedule,
    Text,
    Windowed,
    Windows,
    guided,
    sample,
)
from incarnate.priors.animation import zeroed
from incarnate.priors.autoencoder import Autoencoder
from incarnate.priors.branches import Branches, References
from incarnate.priors.hybrid import VOID, Fusion, GeometricCondition, Warp
from incarnate.priors.pose import PoseGuider
from incarnate.priors.projection import (
    Inpainter,
    ProjectedInpainter,
    ProjectionBranch,
    branches,
    feature_widths,
    known_part,
)
from incarnate.priors.unet import num_additions, predicted, reference_states
from tests.priors.tiny_motion import (
    CONTEXT,
    Spelled,
    adapter,
    image_encoder,
    loud,
    pictures,
    randn,
    scheduler,
    unet,
    vae,
)

SCHEDULE = Schedule.scaled_linear()
SAID = Text(("a person", "a dog"), ("blurry",))
T = torch.tensor([600.0, 30.0])
X = randn(2, 4, 8, 8)
WORDS = Spelled()(SAID.prompts).context


def begun(linear=False):
    net = unet(linear=linear)
    return Inpainter(net, ProjectionBranch.of_unet(net), vae())


def trained():
    """As if the branch had learnt something."""
    inpainter = begun()
    return replace(inpainter, projection=loud(inpainter.projection))


def prior(inpainter):
    return ProjectedInpainter(inpainter, Spelled(), SCHEDULE)


def known(*shape, scale=1.0, seed=5):
    hole = (pictures(*shape, seed=seed + 1)[..., :1] > 0.5).float()
    return Projection(pictures(*shape, seed=seed), hole, scale)


def told(count=2, scale=1.0):
    return Condition(text=SAID, projection=known(count, 16, 16, scale=scale))


def plain(inpainter, x=X):
    return predicted(inpainter.unet, x, T, WORDS)


@pytest.mark.parametrize("linear", [False, True])
@pytest.mark.parametrize("reloaded", [False, True])
def test_at_step_0_the_branch_changes_no_bit(linear, reloaded, tmp_path):
    inpainter = begun(linear)
    if reloaded:
        inpainter.projection.save_pretrained(tmp_path)
        inpainter = replace(inpainter, projection=ProjectionBranch.from_pretrained(tmp_path))
    with torch.no_grad():
        assert torch.equal(prior(inpainter).predict(X, T, told()), plain(inpainter))


def test_at_step_0_all_branches_together_change_no_bit():
    inpainter = begun()
    net, guider = inpainter.unet, PoseGuider(8, (4, 4))
    x, context = randn(2, 4, 3, 8, 8), randn(2, 5, CONTEXT)
    with torch.no_grad():
        states = reference_states(unet(4), X, torch.zeros(2), context)
        part = known(2, 3, 16, 16)
        added = branches(inpainter, x, T, known_part(inpainter.vae, part.image, part.hole)).added
        pose = guider(pictures(6, 16, 16).movedim(-1, 1))
        read = References(states)
        all_ = Branches(pose, zeroed(adapter()), references=read, added=added)
        theirs = predicted(net, x, T, context, Branches(references=read))
        assert torch.equal(predicted(net, x, T, context, all_), theirs)


def test_it_has_the_unets_weights_and_looks_at_the_known_part_as_at_the_noise():
    inpainter = begun()
    own, base = inpainter.projection.state_dict(), inpainter.unet.state_dict()
    kernel = own["conv_in.weight"]
    assert torch.equal(kernel[:, :4], base["conv_in.weight"])
    assert torch.equal(kernel[:, 4:8], base["conv_in.weight"])
    assert kernel.shape[1] == 9 and not kernel[:, 8].any()
    silent = [name for name in own if "_out" in name.split(".")[0]]
    assert len(silent) == 2 * (6 + 1 + 7) and not any(own[name].any() for name in silent)
    copied = set(own) - set(silent) - {"conv_in.weight"}
    assert all(torch.equal(own[name], base[name]) for name in copied)
    left = {name for name in base if "attentions" not in name} - copied - {"conv_in.weight"}
    assert left == {
        "conv_norm_out.weight",
        "conv_norm_out.bias",
        "conv_out.weight",
        "conv_out.bias",
    }


def test_without_attention_in_the_unet_its_features_are_the_unets_own():
    """With the known part's and the hole's kernels at zero it is the UNet, up to its last layer."""
    inpainter = begun()
    net, branch = inpainter.unet, inpainter.projection
    assert net.conv_norm_out is not None
    with torch.no_grad():
        branch.conv_in.weight[:, 4:] = 0
        for name, parameter in net.named_parameters():
            if ".proj_out." in name:  # Transformers then add nothing.
                parameter.zero_()
        features = branch.features(X, T, torch.zeros(2, 5, 8, 8))
        last = net.conv_out(torch.nn.functional.silu(net.conv_norm_out(features.up[-1])))
        torch.testing.assert_close(last, plain(inpainter))


def test_the_branch_of_stable_diffusion_15_speaks_at_28_places():
    with torch.device("meta"):
        net = UNet2DConditionModel(cross_attention_dim=768)
        branch = ProjectionBranch.of_unet(net)
        noise, part = torch.empty(1, 4, 16, 16), torch.empty(1, 5, 16, 16)
        said = branch(branch.features(noise, torch.empty(1), part))
        predicted(net, noise, torch.empty(1), torch.empty(1, 77, 768), Branches(added=said))
    down = [320] + [320] * 3 + [640] * 3 + [1280] * 3 + [1280] * 2
    up = [1280] * 4 + [1280] * 4 + [640] * 4 + [320] * 3
    assert [x.shape[1] for x in said.down] == down
    assert said.mid.shape[1] == 1280
    assert [x.shape[1] for x in said.up] == up
    assert feature_widths((320, 640, 1280, 1280), 2) == (tuple(down), 1280, tuple(up))
    assert (len(down), len(up)) == num_additions(net)
    # What is left of 859520964 weights of SD 1.5 without attentions and the layers out, and what
    # comes to it: 5 more channels in, 28 convolutions out.
    attentions = sum(p.numel() for n, p in net.named_parameters() if "attentions" in n)
    ends = 2 * 320 + 9 * 320 * 4 + 4
    outs = sum(w * w + w for w in (*down, 1280, *up))
    assert sum(p.numel() for p in net.parameters()) == 859520964
    wanted = 859520964 - attentions - ends + 9 * 320 * 5 + outs
    assert sum(p.numel() for p in branch.parameters()) == wanted


def test_after_a_training_step_every_way_out_has_moved_off_zero():
    inpainter = begun()
    branch = inpainter.projection
    outs: list[Any] = [*branch.down_outs, branch.mid_out, *branch.up_outs]
    part = known(2, 16, 16)
    shown = known_part(inpainter.vae, part.image, part.hole)
    optimizer = torch.optim.SGD([p for out in outs for p in out.parameters()], lr=0.1)
    with torch.no_grad():
        before = prior(inpainter).predict(X, T, told())
    heard = branches(inpainter, X, T, shown)
    missed = predicted(inpainter.unet, X, T, WORDS, heard) - randn(2, 4, 8, 8, seed=3)
    missed.square().mean().backward()
    for out in outs:
        assert out.weight.grad is not None and bool(out.weight.grad.any())
    optimizer.step()
    with torch.no_grad():
        after = prior(inpainter).predict(X, T, told())
    assert not torch.allclose(after, before, atol=1e-4)


def test_it_is_shown_the_noise_the_latents_of_the_known_part_and_the_hole_in_this_order():
    inpainter = trained()
    part = known(2, 16, 16)
    seen = []
    inpainter.projection.conv_in.register_forward_hook(lambda _, x, out: seen.append(x[0]))
    with torch.no_grad():
        prior(inpainter).predict(X, T, Condition(text=SAID, projection=part))
        black = Autoencoder(inpainter.vae).encode(torch.where(part.hole > 0.5, 0.0, part.image))
    small = interpolate(part.hole.movedim(-1, 1), (8, 8), mode="nearest")
    torch.testing.assert_close(seen[0], torch.cat([X, black, small], 1))
    assert set(small.unique().tolist()) == {0, 1}


def test_what_lies_in_the_hole_is_not_seen_and_what_is_known_is():
    inpainter = trained()
    part = known(2, 16, 16)
    other = pictures(2, 16, 16, seed=9)
    hidden = replace(part, image=torch.where(part.hole > 0.5, other, part.image))
    changed = replace(part, image=torch.where(part.hole > 0.5, part.image, other))
    with torch.no_grad():
        first, second, third = (
            prior(inpainter).predict(X, T, Condition(text=SAID, projection=p))
            for p in (part, hidden, changed)
        )
    torch.testing.assert_close(second, first)
    assert not torch.allclose(third, first, atol=1e-3)


def test_the_scale_multiplies_what_is_added():
    inpainter = trained()
    part = known(2, 16, 16)
    with torch.no_grad():
        shown = known_part(inpainter.vae, part.image, part.hole)
        half = branches(inpainter, X, T, shown, 0.5)
        added = inpainter.projection(inpainter.projection.features(X, T, shown))
        assert half.added is not None
        torch.testing.assert_close(half.added.mid, added.mid / 2)
        torch.testing.assert_close(half.added.up, tuple(x / 2 for x in added.up))
        torch.testing.assert_close(half.added.down, tuple(x / 2 for x in added.down))
        theirs = predicted(inpainter.unet, X, T, WORDS, half)
        assert torch.equal(prior(inpainter).predict(X, T, told(scale=0.5)), theirs)
        assert torch.equal(prior(inpainter).predict(X, T, told(scale=0.0)), plain(inpainter))


def test_unconditionally_the_text_is_the_negative_one_and_the_branch_still_speaks():
    inpainter = trained()
    with torch.no_grad():
        ours = guided(prior(inpainter), X, T, told(), 4.0)
        conditional = prior(inpainter).predict(X, T, told())
        other = replace(told(), text=Text(("blurry", "blurry")))
        negative = prior(inpainter).predict(X, T, other)
    torch.testing.assert_close(ours, negative + 4 * (conditional - negative), rtol=1e-4, atol=1e-5)


def test_it_samples_pictures_and_clips_also_in_windows():
    inpainter = prior(trained())
    assert sample(inpainter, X, told(), 2, 3.0).shape == (2, 16, 16, 3)
    part = known(1, 5, 16, 16)
    film = Condition(text=Text(("a",)), projection=part)
    noise = randn(1, 4, 5, 8, 8)
    whole = sample(inpainter, noise, film, 2, 3.0)
    assert whole.shape == (1, 5, 16, 16, 3)
    # Frames know nothing of one another, so windows change nothing.
    windowed = sample(Windowed(inpainter, Windows(3, 1)), noise, film, 2, 3.0)
    torch.testing.assert_close(windowed, whole, rtol=1e-3, atol=1e-4)
    alone = Condition(
        text=film.text,
        projection=Projection(part.image[:, 3], part.hole[:, 3]),
    )
    picture = sample(inpainter, noise[:, :, 3], alone, 2, 3.0)
    torch.testing.assert_close(picture, whole[:, 3], rtol=1e-3, atol=1e-4)


def test_each_clip_of_a_batch_has_its_own_level_and_known_part():
    inpainter = prior(trained())
    x, part = randn(2, 4, 3, 8, 8), known(2, 3, 16, 16)
    with torch.no_grad():
        both = inpainter.predict(x, T, Condition(text=SAID, projection=part))
        for i in range(2):
            one = slice(i, i + 1)
            own = Condition(
                text=Text(SAID.prompts[one]), projection=Projection(part.image[one], part.hole[one])
            )
            alone = inpainter.predict(x[one], T[one], own)
            torch.testing.assert_close(both[one], alone, rtol=1e-4, atol=1e-5)


def test_the_known_part_is_encoded_once():
    inpainter = trained()
    looks = []
    inpainter.vae.encoder.register_forward_hook(lambda *_: looks.append(1))
    sample(prior(inpainter), X, told(), 2, 3.0)
    assert len(looks) == 1


def test_a_saved_inpainter_is_a_directory_whose_branch_predicts_the_same(tmp_path):
    inpainter = trained()
    encoder = image_encoder()  # Stands for a text encoder: any model of transformers is saved so.
    inpainter.save(tmp_path, encoder, scheduler(), scheduler())
    again = replace(
        inpainter,
        unet=UNet2DConditionModel.from_pretrained(tmp_path / "unet"),
        projection=ProjectionBranch.from_pretrained(tmp_path / "projection"),
    )
    with torch.no_grad():
        ours = prior(inpainter).predict(X, T, told())
        assert torch.equal(prior(again).predict(X, T, told()), ours)
    index = (tmp_path / "model_index.json").read_text()
    for said in ('"ProjectedInpainter"', '"ProjectionBranch"', '"incarnate"', '"AutoencoderKL"'):
        assert said in index
    assert (tmp_path / "projection" / "diffusion_pytorch_model.safetensors").exists()


@pytest.mark.parametrize(
    "condition, message",
    [
        (Condition(text=SAID), "needs projection"),
        (replace(told(), pose=Pose(pictures(2, 16, 16))), "does not read pose"),
        (replace(told(), projection=known(2, 8, 8)), "a projection of 8 x 8 pixels"),
        (replace(told(), projection=known(3, 16, 16)), "3 rows came for 2"),
    ],
)
def test_conditions_that_do_not_fit_are_refused(condition, message):
    with pytest.raises(ValueError, match=message):
        prior(trained()).predict(X, T, condition)


def test_a_branch_of_another_unet_is_refused():
    with pytest.raises(ValueError, match="a projection branch of block_out_channels"):
        Inpainter(unet(), ProjectionBranch(block_out_channels=(8, 32), norm_num_groups=4), vae())


def features(seed):
    branch = trained().projection
    return branch.features(randn(2, 4, 8, 8, seed=seed), T, randn(2, 5, 8, 8, seed=seed + 1))


def identity_warp():
    places = (torch.arange(size * size).view(1, size, size).repeat(2, 1, 1) for size in (4, 8))
    return Warp(tuple(places))


def fusion():
    return Fusion((8, 16), norm_num_groups=4)


def test_warped_features_are_those_of_the_places_told_and_the_void_is_empty():
    warp = Warp((torch.tensor([[[3, VOID], [0, 3]]]),))
    x = randn(1, 5, 2, 2)
    warped = warp(x)
    assert torch.equal(warped[..., 0, 0], x[..., 1, 1])
    assert torch.equal(warped[..., 1, 0], x[..., 0, 0])
    assert torch.equal(warped[..., 1, 1], x[..., 1, 1])
    assert not warped[..., 0, 1].any()
    with pytest.raises(ValueError, match=r"features of \(3, 3\) came"):
        warp(randn(1, 5, 3, 3))


def test_at_step_0_the_implicit_branch_and_the_geometry_change_no_bit():
    with torch.no_grad():
        explicit, implicit = features(0), features(5)
        fused = fusion()(explicit, implicit, identity_warp())
        for ours, theirs in zip(fused.down + fused.up, explicit.down + explicit.up, strict=True):
            assert torch.equal(ours, theirs)
        assert torch.equal(fused.mid, explicit.mid)
        latents, normals, colors = (randn(2, 4, 8, 8, seed=seed) for seed in range(3))
        assert torch.equal(GeometricCondition()(latents, normals, colors), latents)


def test_the_implicit_features_are_joined_from_where_they_were_warped_to():
    module, explicit, implicit = loud(fusion()), features(0), features(5)
    turned = Warp(tuple(places.flip(-1) for places in identity_warp().maps))
    with torch.no_grad():
        fused = module(explicit, implicit, turned)
        flipped = replace(
            implicit,
            down=tuple(x.flip(-1) for x in implicit.down),
            mid=implicit.mid.flip(-1),
            up=tuple(x.flip(-1) for x in implicit.up),
        )
        theirs = module(explicit, flipped, identity_warp())
    for ours, other in zip(fused.down + fused.up, theirs.down + theirs.up, strict=True):
        assert torch.equal(ours, other)
    assert torch.equal(fused.mid, theirs.mid)
    assert not torch.allclose(fused.mid, module(explicit, implicit, identity_warp()).mid)


def test_after_a_training_step_both_are_heard(tmp_path):
    module, geometry = fusion(), GeometricCondition()
    explicit, implicit = features(0), features(5)
    latents, normals, colors = (randn(2, 4, 8, 8, seed=seed) for seed in range(3))
    fused = module(explicit, implicit, identity_warp())
    loss = sum((x - 1).square().mean() for x in (*fused.down, fused.mid, *fused.up))
    (loss + (geometry(latents, normals, colors) - 1).square().mean()).backward()
    for part in (module, geometry):
        zeros = [p for p in part.parameters() if not p.any()]
        torch.optim.SGD(zeros, lr=0.1).step()
        kernels = [p for n, p in part.named_parameters() if n.endswith("layers.5.weight")]
        assert kernels and all(bool(p.any()) for p in kernels)
    with torch.no_grad():
        first = module(explicit, implicit, identity_warp())
        second = module(explicit, features(8), identity_warp())
        assert not torch.allclose(first.mid, second.mid, atol=1e-5)
        module.save_pretrained(tmp_path)
        again = Fusion.from_pretrained(tmp_path)(explicit, implicit, identity_warp())
        assert torch.equal(again.mid, first.mid)
