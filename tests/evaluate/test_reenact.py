"""Films driven by their true motion: damage lowers the figure that it should."""

import pytest
import torch

from incarnate.cameras import orbit
from incarnate.evaluate import driven, reenact
from incarnate.motion import pose_preset
from incarnate.motion.skeleton import INDEX


def film(count: int = 4) -> reenact.Film:
    """Noise with a face in the middle and hands beneath it."""
    rng = torch.Generator().manual_seed(0)
    small = torch.rand(1, 3, 24, 24, generator=rng)
    picture = torch.nn.functional.interpolate(small, (160, 160), mode="bicubic").clamp(0, 1)[0]
    frames = torch.stack([picture.roll(k, 2).permute(1, 2, 0) for k in range(count)])
    joints = torch.full((count, 55, 3), float("nan"))
    joints[:, INDEX["head"]] = torch.tensor([0.0, 1.5, 0.0])
    for side, sign in (("left", 1.0), ("right", -1.0)):
        for name in driven.KNUCKLES:
            joints[:, INDEX[f"{side}_{name}"]] = torch.tensor([0.35 * sign, 1.1, 0.0])
    camera = orbit(torch.tensor([0.0, 1.3, 0.0]), 1.2, 0.0, 0.0, 160, 160, 0.42)
    one = pose_preset("stand")
    motion = driven.picked(one, [0] * count)
    return reenact.Film((frames * 255).byte().numpy(), motion, joints, camera, 1.0)


def figures(ours: torch.Tensor, truth: reenact.Film) -> dict[str, float]:
    return {f.name: f.value for f in reenact.figures(ours, truth, None, [])}


@pytest.fixture(scope="module")
def truth() -> reenact.Film:
    return film()


@pytest.fixture(scope="module")
def frames(truth: reenact.Film) -> torch.Tensor:
    return torch.from_numpy(truth.frames).float() / 255


def test_the_truth_itself_is_perfect(truth: reenact.Film, frames: torch.Tensor):
    found = figures(frames, truth)
    assert found["psnr"] == found["face psnr"] == found["hands psnr"] == 100
    assert found["mse"] == found["l1"] == found["flicker"] == found["hands flicker"] == 0
    assert found["ssim"] == pytest.approx(1, abs=1e-5)


def test_a_blurred_face_lowers_the_face_and_leaves_the_hands(
    truth: reenact.Film, frames: torch.Tensor
):
    (_, box), *_ = reenact.boxes(truth, 0)
    left, top, right, bottom = box
    blurred = frames.clone()
    part = blurred[:, top:bottom, left:right]
    part[:] = torch.nn.functional.avg_pool2d(
        part.permute(0, 3, 1, 2), 5, 1, 2, count_include_pad=False
    ).permute(0, 2, 3, 1)
    found = figures(blurred, truth)
    assert found["face psnr"] < 35 and found["face ssim"] < 0.97
    assert found["hands psnr"] == 100 and 30 < found["psnr"] < 100


def test_a_part_in_another_place_is_worth_as_much_once_placed(
    truth: reenact.Film, frames: torch.Tensor
):
    shifted = figures(frames.roll((4, -6), (1, 2)), truth)
    assert shifted["face psnr"] < 25
    assert shifted["face psnr, placed"] > 60
    blurred = torch.nn.functional.avg_pool2d(frames.permute(0, 3, 1, 2), 7, 1, 3)
    assert figures(blurred.permute(0, 2, 3, 1), truth)["face psnr, placed"] < 35


def test_flicker_is_what_changes_between_neighbours_and_a_constant_error_is_none(
    truth: reenact.Film, frames: torch.Tensor
):
    darker = frames * 0.5 + 0.25  # Changes half as much as the truth does.
    shifted = figures(frames * 0.9, truth)
    blinking = frames.clone()
    blinking[1::2] *= 0.9
    assert figures(blinking, truth)["flicker"] > 2 * shifted["flicker"]
    change = (frames[1::2] - frames[::2]).abs().mean()
    assert figures(darker, truth)["flicker"] == pytest.approx(50 * float(change), rel=1e-4)


def test_frames_in_another_order_are_worse(truth: reenact.Film, frames: torch.Tensor):
    assert figures(frames.flip(0), truth)["psnr"] < 30


def test_a_film_comes_back_from_its_file(truth: reenact.Film, tmp_path):
    truth.save(tmp_path / "a.npz")
    again = reenact.Film.load(tmp_path / "a.npz")
    assert (again.frames == truth.frames).all() and again.scale == truth.scale
    torch.testing.assert_close(again.joints, truth.joints, equal_nan=True)
    torch.testing.assert_close(again.camera.world_to_camera, truth.camera.world_to_camera)


def test_pairs_are_neighbours_spread_over_the_film():
    first = driven.spots(75, 8)
    assert first[0] == 0 and first[-1] == 73 and len(set(first)) == 8
    assert driven.spots(3, 8) == [0]


def test_a_person_is_filmed_with_hands_in_the_picture(tmp_path, monkeypatch):
    monkeypatch.setattr(reenact, "FILM_SIDE", 96)
    monkeypatch.setattr(reenact, "PHOTO_SIDE", 96)
    monkeypatch.setattr(reenact, "PAIRS", 1)
    (who,) = reenact.subjects(1, tmp_path)
    stamp = who.photo.stat().st_mtime_ns
    kept = reenact.Film.load(reenact.film_beside(who.photo))
    assert [part for part, _ in reenact.boxes(kept, 0)] == ["face", "hands", "hands"]
    assert kept.frames.shape == (2, 96, 96, 3) and (kept.frames[0, 0, 0] == 255).all()
    assert reenact.subjects(1, tmp_path)[0].photo.stat().st_mtime_ns == stamp
    assert reenact._person("outside-001").foreign
