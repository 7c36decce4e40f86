"""What is trained: at its start it changes nothing, in the end diffusers opens it."""

from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file

from incarnate.priors import Condition, Normal, Text
from incarnate.priors.hub import load
from incarnate.priors.pose import PoseGuider
from incarnate.priors.train.base import load_base
from incarnate.priors.train.nets import Controlled, built, save_result, trained
from incarnate.progress import Silent
from incarnate.recipe import Recipe
from tests.priors.tiny import diffusers


def recipe(base, task, **changes):
    return replace(Recipe(task, base, base, base, size=32), **changes)


def inputs(base, count=2):
    rng = torch.Generator().manual_seed(0)
    x_t = torch.randn(count, *base.latents(32), generator=rng)
    control = torch.rand(count, 32, 32, 3, generator=rng)
    return x_t, torch.tensor([3.0, 900.0]), base.tokens(("a man", "a woman")), control


def plain(base, x_t, told, tokens):
    return base.unet(x_t, told, base.text_encoder(tokens).last_hidden_state).sample


def shaken(net):
    """Whatever is trained, moved: at its start a branch says nothing."""
    rng = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weight in trained(net).values():
            weight += 0.05 * torch.randn(weight.shape, generator=rng)
    return net


@pytest.mark.parametrize(
    ("task", "lora", "part"),
    [
        ("text-to-normal", None, "unet."),
        ("text-to-normal", 4, "lora_"),
        ("normal-aligned", None, "controlnet."),
        ("pose-guider", None, "guider."),
    ],
)
def test_at_its_start_a_training_has_changed_nothing(base, task, lora, part):
    whole = load_base(base, Silent())
    x_t, told, tokens, control = inputs(whole)
    before = plain(whole, x_t, told, tokens)
    net = built(recipe(base, task, lora=lora), whole)
    with torch.no_grad():
        assert torch.equal(net(x_t, told, tokens, control), before)
        changed = shaken(net)(x_t, told, tokens, control)
    assert not torch.allclose(changed, before)
    assert trained(net) and all(part in name for name in trained(net))


def test_a_controlnet_begins_as_a_copy_of_the_way_down(base):
    net = built(recipe(base, "normal-aligned"), load_base(base, Silent()))
    assert isinstance(net, Controlled)
    for name in ("conv_in", "time_embedding", "down_blocks", "mid_block"):
        ours = net.controlnet.get_submodule(name).state_dict()
        theirs = net.unet.get_submodule(name).state_dict()
        assert ours and all(torch.equal(ours[key], theirs[key]) for key in theirs)


def test_what_chance_fills_comes_from_the_seed_and_leaves_chance_alone(base):
    def adapters(seed):
        net = built(recipe(base, "text-to-normal", lora=4, seed=seed), load_base(base, Silent()))
        return torch.cat([weight.flatten() for weight in trained(net).values()])

    torch.manual_seed(7)
    state = torch.get_rng_state()
    first, again, other = adapters(0), adapters(0), adapters(1)
    assert torch.equal(first, again) and not torch.equal(first, other)
    assert torch.equal(state, torch.get_rng_state())


def test_values_worked_out_again_give_the_same_gradients(base):
    found = []
    for save_memory in (False, True):
        whole = load_base(base, Silent())
        net = shaken(built(recipe(base, "normal-aligned", save_memory=save_memory), whole))
        net(*inputs(whole)).square().sum().backward()
        found.append({name: weight.grad for name, weight in trained(net).items()})
    for name, gradient in found[0].items():
        torch.testing.assert_close(found[1][name], gradient)


def results(base, tmp_path, task, **changes):
    """A net that was trained, so to say, what it answers, and the folder it is saved in."""
    whole = load_base(base, Silent())
    asked = recipe(base, task, **changes)
    net = shaken(built(asked, whole))
    folder = tmp_path / "result"
    folder.mkdir()
    save_result(net, asked, whole, folder)
    with torch.no_grad():
        return whole, net(*inputs(whole)), folder


def test_a_whole_model_opens_as_a_pipeline(base, tmp_path):
    whole, answer, folder = results(base, tmp_path, "text-to-normal", text_encoder=True)
    x_t, told, *_ = inputs(whole)
    prior = load(str(folder))
    said = prior.predict(x_t, told.double(), Condition(text=Text(("a man", "a woman"))))
    torch.testing.assert_close(said, answer)
    pipeline = _pipeline(folder)
    ids = whole.tokens(("a man", "a woman"))
    with torch.no_grad():
        words = pipeline.text_encoder(ids).last_hidden_state
        torch.testing.assert_close(pipeline.unet(x_t, told, words).sample, answer)


def _pipeline(folder):
    return diffusers.StableDiffusionPipeline.from_pretrained(
        folder, local_files_only=True, use_safetensors=True
    )


def test_adapters_load_into_the_pipeline_of_the_base(base, tmp_path):
    whole, answer, folder = results(base, tmp_path, "text-to-depth", lora=4)
    weights = load_file(folder / "pytorch_lora_weights.safetensors")
    assert all(name.startswith("unet.") and "lora" in name for name in weights)
    x_t, told, tokens, _ = inputs(whole)
    pipeline = _pipeline(base)
    pipeline.load_lora_weights(folder)
    with torch.no_grad():
        words = pipeline.text_encoder(tokens).last_hidden_state
        torch.testing.assert_close(pipeline.unet(x_t, told, words).sample, answer)
    prior = load(f"{base}+lora:{folder}")
    said = prior.predict(x_t, told.double(), Condition(text=Text(("a man", "a woman"))))
    torch.testing.assert_close(said, answer, rtol=1e-4, atol=1e-5)  # Merged weights round.


def test_a_controlnet_lies_over_the_base(base, tmp_path):
    whole, answer, folder = results(base, tmp_path, "normal-aligned")
    x_t, told, _, control = inputs(whole)
    prior = load(f"{base}+normal:{folder}")
    asked = Condition(text=Text(("a man", "a woman")), normal=Normal(control))
    torch.testing.assert_close(prior.predict(x_t, told.double(), asked), answer)


def test_a_pose_guider_opens_again(base, tmp_path):
    whole, answer, folder = results(base, tmp_path, "pose-guider")
    x_t, told, tokens, control = inputs(whole)
    net = built(recipe(base, "pose-guider"), whole)
    net.guider = PoseGuider.from_pretrained(folder, local_files_only=True, use_safetensors=True)
    with torch.no_grad():
        torch.testing.assert_close(net(x_t, told, tokens, control), answer)


def test_a_base_of_another_kind_is_refused(base, tmp_path):
    with pytest.raises(ValueError, match=r"no model_index.json"):
        load_base(tmp_path, Silent())
    with pytest.raises(ValueError, match="UNet2DConditionModel"):
        load_base(base / "unet", Silent())
    with pytest.raises(ValueError, match="--size is 34; this base takes multiples of 4"):
        load_base(base, Silent()).latents(34)
