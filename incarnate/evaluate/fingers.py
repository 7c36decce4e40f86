"""How far an avatar's fingers are from the photo's: those it shows, and those it moves.

Discs are fitted to the photo and may show a hand where the bones beneath are not. So there are two
figures: the hand network's points, found on both pictures; and the body's own joints against the
true ones, where these are known. Both are in pixels of the avatar's own camera, scaled as if its
picture, the photo cut to the person, were `TALL` pixels tall.

A hand is 21 points: wrist, then four from each finger's root to its tip, thumb first.
"""

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from incarnate.avatar import Avatar
from incarnate.cameras import Camera
from incarnate.motion.skeleton import INDEX
from incarnate.perception.face import crop, square
from incarnate.perception.fingers import finger_names
from incarnate.perception.keypoints import Keypoints
from incarnate.perception.landmarkers import Perception
from incarnate.perception.sight import SIDES

TALL = 1024
ROOM = 2.0  # A crop's side over the hand's longer one.
NEAR = 0.5  # Mean gap, over the hand's longer side, beyond which what is found is another hand.


def of_photo(
    person: Keypoints, corner: Float[Tensor, "2"], scale: float
) -> Float[Tensor, "2 21 2"]:
    """Left and right hand as the tracker took them, on the pixels of a cut and scaled photo; NaN
    where it saw none."""
    hands = torch.full((2, 21, 2), float("nan"))
    for i, hand in enumerate((person.left_hand, person.right_hand)):
        if hand is not None:
            hands[i] = (torch.from_numpy(hand.points[:, :2]) - corner) * scale
    return hands


def shown(
    ours: UInt8[np.ndarray, "h w 3"],
    theirs: UInt8[np.ndarray, "h w 3"],
    hands: Float[Tensor, "2 21 2"],
    perception: Perception,
) -> tuple[float, float]:
    """Median distance between points found on either picture in the same crop, over all points of
    the hands found on both; and the share of the photo's hands that are. NaN where there is none.
    """
    seen = [hand for hand in hands if hand.isfinite().all()]
    gaps = []
    for hand in seen:
        a, b = (_again(picture, hand, perception) for picture in (ours, theirs))
        if a is not None and b is not None:
            gaps.append((a - b).norm(dim=1))
    if not gaps:
        return float("nan"), 0.0 if seen else float("nan")
    return float(torch.cat(gaps).median()) * TALL / len(ours), len(gaps) / len(seen)


def true(avatar: Avatar, joints: Float[Tensor, "55 3"], camera: Camera) -> float:
    """Median distance of the body's own finger joints in the photo's pose from true ones (SMPL-X's,
    in the world) before the photo's true camera; NaN unless the tracker saw a hand."""
    body, drive = avatar.surface.body, avatar.photo
    bones = body.bones(avatar.surface.joints, drive.pose, drive.transl)
    own = (bones[:, :3, :3] @ avatar.surface.joints[..., None])[..., 0] + bones[:, :3, 3]
    seen = [s for s, shown in zip(SIDES, avatar.meta["hands_seen"], strict=True) if shown]
    names = [name for side in seen for name in finger_names(side)]
    ours = avatar.camera.project(own[[body.smplx_joints[name] for name in names]])
    left, top, right, _ = avatar.meta["window"]
    there = camera.project(joints[[INDEX[name] for name in names]]) - torch.tensor([left, top])
    gaps = (ours - there * avatar.camera.width / (right - left)).norm(dim=1)
    return float(gaps.median()) * TALL / avatar.camera.height if names else float("nan")


def _again(
    picture: UInt8[np.ndarray, "h w 3"], hand: Float[Tensor, "21 2"], perception: Perception
) -> Float[Tensor, "21 2"] | None:
    """The points of the hand found about where the photo has one; None if none is."""
    low, high = hand.numpy().min(0), hand.numpy().max(0)
    longer = float((high - low).max())
    window = crop(picture, square((low + high) / 2, ROOM * longer), 256, 768)
    if window is None:
        return None
    hands = perception.hands(window.rgb)
    found = [torch.from_numpy(window.to_photo(h.points)[:, :2]) for h in hands]
    best = min(found, key=lambda points: _gap(points, hand), default=None)
    return best if best is not None and _gap(best, hand) < NEAR * longer else None


def _gap(a: Float[Tensor, "21 2"], b: Float[Tensor, "21 2"]) -> float:
    return float((a - b).norm(dim=1).mean())
