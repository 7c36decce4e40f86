"""Reference attention, pose guider and motion modules as a prior."""

from dataclasses import replace

import pytest
import torch
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from diffusers.models.unets.unet_motion_model import MotionAdapter
from transformers import CLIPImageProcessor, CLIPVisionModelWithProjection

from incarnate.priors import (
    Condition,
    Pose,
    Reference,
    Schedule,
    Text,
    Windowed,
    Windows,
    ddim,
    guided,
    sample,
)
from incarnate.priors.animation import (
    Animator,
    ReferenceAnimator,
    branches,
    motion_for,
    seen,
    zeroed,
)
from incarnate.priors.autoencoder import Autoencoder
from incarnate.priors.branches import Branches, References
from incarnate.priors.pose import PoseGuider
from incarnate.priors.unet import predicted, reference_states
from tests.priors.tiny_motion import (
    CONTEXT,
    adapter,
    image_encoder,
    loud,
    pictures,
    randn,
    scheduler,
    unet,
    vae,
)

SCHEDULE = Schedule.scaled_linear(prediction="v", zero_terminal_snr=True, spacing="trailing")
PHOTO = Reference(pictures(1, 16, 16))
T = torch.tensor([600.0, 30.0])


def begun(max_length: int | None = 8):
    return Animator.begun(unet(), vae(), image_encoder(), max_length)


def trained():
    """As if all branches had learnt something."""
    animator = begun(None)
    return replace(animator, pose_guider=loud(animator.pose_guider), motion_adapter=adapter())


def prior(animator=None):
    return ReferenceAnimator(begun() if animator is None else animator, SCHEDULE)


def clip(frames=3, count=2):
    return randn(count, 4, frames, 8, 8)


def poses(frames=3, count=2):
    return Pose(pictures(count, frames, 16, 16, seed=7))


def silent(animator):
    """The UNet by itself, told nothing."""
    return lambda x, t: predicted(animator.unet, x, t.float(), x.new_zeros(len(x), 1, CONTEXT))


@pytest.mark.parametrize("parts", ["pose", "motion", "both"])
@pytest.mark.parametrize("reloaded", [False, True])
def test_at_step_0_pose_guider_and_motion_modules_change_no_bit(parts, reloaded, tmp_path):
    animator = begun(None if parts == "pose" else 8)
    if reloaded:
        animator = loaded(animator.save(tmp_path, scheduler()), animator)
    x = clip()
    plain = silent(animator)(x, T)
    with torch.no_grad():
        told = poses() if parts != "motion" else Pose(torch.zeros(2, 3, 16, 16, 3))
        ours = prior(animator).predict(x, T, Condition(pose=told))
        assert torch.equal(ours, plain)
        known = seen(animator, PHOTO.image)
        heard = branches(animator, x, told.image, known)
        read = Branches(references=References(known.states))
        theirs = predicted(animator.unet, x, T, known.context, read)
        assert torch.equal(predicted(animator.unet, x, T, known.context, heard), theirs)
    assert not torch.allclose(theirs, plain, atol=1e-3)


def loaded(folder, like):
    """As `hub` does it, part by part."""
    return Animator(
        UNet2DConditionModel.from_pretrained(folder / "unet"),
        UNet2DConditionModel.from_pretrained(folder / "reference_unet"),
        PoseGuider.from_pretrained(folder / "pose_guider"),
        like.vae,
        CLIPVisionModelWithProjection.from_pretrained(folder / "image_encoder"),
        like.motion_adapter and MotionAdapter.from_pretrained(folder / "motion_adapter"),
    )


def test_a_saved_animator_is_a_directory_of_safetensors_and_predicts_the_same(tmp_path):
    animator = trained()
    folder = animator.save(tmp_path, scheduler())
    told = Condition(pose=poses(), reference=PHOTO)
    with torch.no_grad():
        ours = prior(animator).predict(clip(), T, told)
        back = loaded(folder, animator)
        again = prior(back).predict(clip(), T, told)
    kept = animator.unet.state_dict()
    assert all(torch.equal(x, kept[name]) for name, x in back.unet.state_dict().items())
    # Weights that lie elsewhere in memory may be multiplied in another order.
    torch.testing.assert_close(again, ours, atol=1e-6, rtol=1e-5)
    files = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
    assert [f for f in files if not f.endswith(".json")] == [
        "image_encoder/model.safetensors",
        "motion_adapter/diffusion_pytorch_model.safetensors",
        "pose_guider/diffusion_pytorch_model.safetensors",
        "reference_unet/diffusion_pytorch_model.safetensors",
        "unet/diffusion_pytorch_model.safetensors",
        "vae/diffusion_pytorch_model.safetensors",
    ]
    index = (folder / "model_index.json").read_text()
    for said in ('"ReferenceAnimator"', '"PoseGuider"', '"incarnate"', '"DDIMScheduler"'):
        assert said in index


def test_after_a_training_step_guider_and_motion_modules_have_moved_off_zero():
    animator = begun()
    assert animator.motion_adapter is not None
    x, noise, told = clip(), randn(2, 4, 3, 8, 8, seed=3), poses()
    zeros = [animator.pose_guider.conv_out.weight] + [
        p for n, p in animator.motion_adapter.named_parameters() if n.endswith("proj_out.weight")
    ]
    assert len(zeros) == 1 + 2 * 2 + 1 + 2 * 3
    assert not any(bool(p.any()) for p in zeros)
    with torch.no_grad():
        before = prior(animator).predict(x, T, Condition(pose=told))
    optimizer = torch.optim.SGD(zeros, lr=0.1)
    context = torch.zeros(2, 1, CONTEXT)
    heard = branches(animator, x, told.image, None)
    (predicted(animator.unet, x, T, context, heard) - noise).square().mean().backward()
    assert all(p.grad is not None and bool(p.grad.any()) for p in zeros)
    optimizer.step()
    with torch.no_grad():
        after = prior(animator).predict(x, T, Condition(pose=told))
    assert not torch.allclose(after, before, atol=1e-4)


def test_training_reaches_the_reference_unet_through_the_states_and_only_the_readers_rows():
    animator = begun(None)
    x = randn(2, 4, 8, 8)
    told = seen(animator, PHOTO.image)
    context = torch.cat([torch.zeros_like(told.context), told.context])
    heard = branches(animator, x, pictures(2, 16, 16), told, readers=(1,))
    out = predicted(animator.unet, x, T, context, heard)
    out[0].square().sum().backward(retain_graph=True)
    weight = animator.reference_unet.conv_in.weight
    assert weight.grad is None or not weight.grad.any()
    out[1].square().sum().backward()
    assert weight.grad is not None and bool(weight.grad.any())
    with torch.no_grad():
        alone = prior(animator).predict(x, T, Condition(pose=Pose(pictures(2, 16, 16))))
    torch.testing.assert_close(out[0], alone[0], rtol=1e-4, atol=1e-5)


def test_it_reads_the_states_of_the_photo_at_told_level_0_and_clips_embedding():
    animator = trained()
    x, pose = clip(), poses()
    encoder, net = animator.image_encoder, animator.reference_unet
    pixels = CLIPImageProcessor(do_resize=False, do_center_crop=False, do_rescale=False)(
        pictures(1, 8, 8)[0].numpy(), return_tensors="pt", input_data_format="channels_last"
    ).pixel_values
    small = Reference(pictures(1, 8, 8))
    with torch.no_grad():
        context = encoder(pixels).image_embeds[:, None]
        latents = Autoencoder(animator.vae).encode(small.image)
        states = reference_states(net, latents, torch.zeros(1), context)
        drawn = animator.pose_guider(pose.image.flatten(0, 1).movedim(-1, 1))
        heard = Branches(drawn * 0.5, animator.motion_adapter, "frame", References(states))
        theirs = predicted(animator.unet, x, T, context, heard)
        half = replace(pose, scale=0.5)
        ours = prior(animator).predict(x, T, Condition(pose=half, reference=small))
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


def test_each_clip_of_a_batch_has_its_own_photo_level_and_poses():
    animator = prior(trained())
    photos, pose = pictures(2, 16, 16, seed=6), poses()
    with torch.no_grad():
        both = animator.predict(clip(), T, Condition(pose=pose, reference=Reference(photos)))
        for i in range(2):
            own = Condition(
                pose=Pose(pose.image[i : i + 1]), reference=Reference(photos[i : i + 1])
            )
            alone = animator.predict(clip()[i : i + 1], T[i : i + 1], own)
            torch.testing.assert_close(both[i : i + 1], alone, rtol=1e-4, atol=1e-5)


def test_unconditionally_nobody_is_read_and_the_poses_stay():
    animator = prior(trained())
    x, told = clip(), Condition(pose=poses(), reference=PHOTO)
    nobody = animator.unconditional(told)
    assert nobody.reference is None and nobody.pose is told.pose
    with torch.no_grad():
        conditional, plain = animator.predict(x, T, told), animator.predict(x, T, nobody)
        torch.testing.assert_close(
            guided(animator, x, T, told, 3.5), plain + 3.5 * (conditional - plain)
        )
    assert not torch.allclose(conditional, plain, atol=1e-3)


def test_the_photo_is_looked_at_once():
    animator = trained()
    looks = []
    animator.reference_unet.conv_in.register_forward_hook(lambda *_: looks.append(1))
    told = Condition(pose=poses(4, 1), reference=PHOTO)
    sampler = Windowed(prior(animator), Windows(3, 1))
    ddim(sampler, clip(4, 1), told, SCHEDULE.levels(2), 2.0)
    assert len(looks) == 1


def test_frames_may_change_places_without_motion_modules_and_not_with_them():
    order = [2, 0, 1]
    for animator, indifferent in (
        (replace(trained(), motion_adapter=None), True),
        (trained(), False),
    ):
        x, pose = clip(), poses()
        with torch.no_grad():
            there = prior(animator).predict(x, T, Condition(pose=pose, reference=PHOTO))
            mixed = Condition(pose=Pose(pose.image[:, order]), reference=PHOTO)
            here = prior(animator).predict(x[:, :, order], T, mixed)
        same = torch.allclose(here, there[:, :, order], rtol=1e-4, atol=1e-5)
        assert same is indifferent


def test_it_samples_clips_also_longer_ones_than_its_motion_modules_know():
    animator = prior(replace(trained(), motion_adapter=motion_for(unet(), 4, heads=2)))
    told = Condition(pose=poses(7, 1), reference=PHOTO)
    with pytest.raises(ValueError, match="7 frames came, these motion modules know 4"):
        sample(animator, clip(7, 1), told, 2)
    film = sample(Windowed(animator, Windows(4, 1)), clip(7, 1), told, 2, 3.5)
    assert film.shape == (1, 7, 16, 16, 3)
    # The modules are silent, so windows change nothing.
    still = prior(replace(animator.animator, motion_adapter=None))
    torch.testing.assert_close(film, sample(still, clip(7, 1), told, 2, 3.5), rtol=1e-4, atol=1e-4)
    picture = sample(still, clip(1, 1)[:, :, 0], Condition(pose=Pose(poses(1, 1).image[:, 0])), 2)
    assert picture.shape == (1, 16, 16, 3)


def test_clips_are_encoded_and_decoded_frame_by_frame():
    animator = ReferenceAnimator(begun(), SCHEDULE, chunk=2)
    film = pictures(2, 3, 16, 16)
    with torch.no_grad():
        latents = animator.encode(film)
        assert latents.shape == (2, 4, 3, 8, 8)
        torch.testing.assert_close(latents[:, :, 1], animator.encode(film[:, 1]))
        decoded = animator.decode(latents)
        torch.testing.assert_close(decoded[:, 2], animator.decode(latents[:, :, 2]))


def test_features_are_deep_ones_and_have_frames():
    features = prior(trained()).features(clip(), T, Condition(pose=poses(), reference=PHOTO))
    assert [f.shape for f in features] == [(2, 16, 3, 4, 4), (2, 16, 3, 8, 8)]


def test_silenced_motion_modules_are_a_copy():
    motion = adapter()
    quiet = zeroed(motion)
    x = clip()
    with torch.no_grad():
        context = torch.zeros(2, 1, CONTEXT)
        plain = predicted(unet(), x, T, context)
        assert torch.equal(predicted(unet(), x, T, context, Branches(motion=quiet)), plain)
        spoken = predicted(unet(), x, T, context, Branches(motion=motion))
    assert not torch.allclose(spoken, plain, atol=1e-3)


def test_animate_anyones_motion_modules_are_those_of_a_stable_diffusion_15_at_every_layer():
    with torch.device("meta"):
        motion = motion_for(UNet2DConditionModel(cross_attention_dim=768))
    names = [n for n, _ in motion.named_parameters() if n.endswith("proj_out.weight")]
    assert len(names) == 8 + 1 + 12
    assert motion.config["motion_max_seq_length"] == 128


@pytest.mark.parametrize(
    "told, message",
    [
        (Condition(reference=PHOTO), "needs pose"),
        (Condition(pose=poses(), text=Text(("a",))), "does not read text"),
        (Condition(pose=poses(2)), "2 frames came for a clip of 3"),
        (Condition(pose=Pose(pictures(2, 3, 8, 8))), "a pose of 8 x 8 pixels"),
        (Condition(pose=poses(3, 3)), "3 rows came for 2"),
        (
            Condition(pose=poses(), reference=Reference(pictures(3, 16, 16))),
            "3 rows came for 2",
        ),
    ],
)
def test_conditions_that_do_not_fit_are_refused(told, message):
    with pytest.raises(ValueError, match=message):
        prior(trained()).predict(clip(), T, told)


def test_networks_that_do_not_fit_are_refused():
    animator = begun()
    with pytest.raises(ValueError, match="pose guider's width came as 320"):
        replace(animator, pose_guider=PoseGuider())
    with pytest.raises(ValueError, match="pose guider's halvings came as 4"):
        replace(animator, pose_guider=PoseGuider(8, (4, 4, 4)))
