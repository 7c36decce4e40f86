"""People in a photo: body, hands and face of each, at full resolution.

Coordinates as in `landmarkers`: pixels of the photo with the first pixel's centre at (0.5, 0.5),
boxes (left, top, right, bottom). Small people are looked for in tiles; hands and faces in crops of
the full photo around the body's wrists and head. What is out of the frame keeps a position, which
is a guess without worth, and a visibility near 0; what is not known is NaN with visibility 0.
"""

from dataclasses import dataclass, replace

import cv2
import numpy as np
from jaxtyping import Float32, UInt8

from incarnate.perception.face import OVAL, Crop, Face, crop, face_near, faces_in, square
from incarnate.perception.landmarkers import Hand, Perception, Pose

NOSE, LEFT_SHOULDER, RIGHT_SHOULDER = 0, 11, 12
WRISTS, INDEX_KNUCKLES, PINKY_KNUCKLES = (15, 16), (19, 20), (17, 18)  # Left, right.
HEAD, ANKLES = slice(0, 11), slice(27, 29)
MIN_HEIGHT = 128  # Pixels of a person's box; below, neither face nor hands can be told.
MIN_FACE = 32  # Pixels of a face's height.
VISIBLE = 0.5
MIN_TILE = 256  # Pixels; tiles of less would hold nobody large enough.
SEARCH_SIDE = 960  # Longest side of the whole photo or a tile while searching.
PERSON_SIDE = 1280  # Longest side of the crop in which a person's pose and mask are found.
HAND_CROPS = (0.45, 0.32, 0.65)  # Sides in metres.
MAX_WRIST_GAP = 0.11  # Metres between the body's wrist and the hand's.
FACE_POINTS = {0: 4, 1: 133, 2: 473, 3: 263, 4: 133, 5: 468, 6: 33, 9: 291, 10: 61}
"""Head points of the pose (without ears) that a face alone can tell: pose point -> face point."""


class NoPersonError(ValueError):
    """Nobody was found in the photo, or nobody of use."""


@dataclass(frozen=True, eq=False)
class Keypoints:
    """What is seen of one person.

    `pose`: x, y, visibility of MediaPipe's 33 points. `pose_world`: the same in metres from the
    middle of the hips, x right, y down, z away from the viewer. Hands (`left` is the person's own):
    21 points x, y, z in pixels, in metres from the hand's middle, and the network's score; None
    where no hand is seen. `box`: what is visible of the body.
    """

    pose: Float32[np.ndarray, "33 3"]
    pose_world: Float32[np.ndarray, "33 3"]
    box: Float32[np.ndarray, "4"]
    left_hand: Hand | None
    right_hand: Hand | None
    face: Face | None
    mask_window: Crop
    mask_soft: Float32[np.ndarray, "mh mw"]
    photo_size: tuple[int, int]

    @property
    def mask(self) -> Float32[np.ndarray, "h w"]:
        """The pose network's soft mask of this person, the size of the photo (rows, columns)."""
        full = np.zeros(self.photo_size, np.float32)
        left, top = self.mask_window.corner.astype(int)
        rows, columns = (round(n / self.mask_window.scale) for n in self.mask_soft.shape)
        large = cv2.resize(self.mask_soft, (columns, rows), interpolation=cv2.INTER_LINEAR)
        large = large[max(-top, 0) :, max(-left, 0) :]
        inside = full[max(top, 0) :, max(left, 0) :]
        rows, columns = np.minimum(large.shape, inside.shape)
        inside[:rows, :columns] = large[:rows, :columns]
        return full

    def cropped(self, margin: int, size: tuple[int, ...]) -> "Keypoints":
        """The same person in a photo without that margin, of that size (rows, columns)."""
        flat = np.asarray([margin, margin, 0], np.float32)
        corners = np.asarray([margin] * 4, np.float32)
        limit = np.asarray([size[1], size[0]] * 2, np.float32)
        hands = [
            hand and replace(hand, points=hand.points - flat)
            for hand in (self.left_hand, self.right_hand)
        ]
        face = self.face and replace(
            self.face, landmarks=self.face.landmarks - flat, box=self.face.box - corners
        )
        window = replace(self.mask_window, corner=self.mask_window.corner - flat[:2])
        return replace(
            self,
            pose=self.pose - flat,
            box=np.clip(self.box - corners, 0, limit),
            left_hand=hands[0],
            right_hand=hands[1],
            face=face,
            mask_window=window,
            photo_size=(size[0], size[1]),
        )

    @property
    def height(self) -> float:
        """Pixels from the top to the bottom of the visible body."""
        return float(self.box[3] - self.box[1])

    @property
    def pixels_per_metre(self) -> float:
        """How large a metre at the body's distance is in the photo; NaN if only a face is known."""
        return pixels_per_metre(self.pose, self.pose_world)


def keypoints(rgb: UInt8[np.ndarray, "h w 3"], perception: Perception) -> list[Keypoints]:
    """Everyone in the photo, the largest first. NoPersonError if nobody is found."""
    people = _people(rgb, perception)
    if not people:  # A head that fills the frame is only found with room around it.
        room = max(rgb.shape[:2]) // 2
        sides = ((room, room), (room, room), (0, 0))
        wide = _people(np.pad(rgb, sides, mode="edge"), perception)
        people = [person.cropped(room, rgb.shape[:2]) for person in wide]
    if not people:
        raise NoPersonError(
            "no person found in the photo; use one in which a person is seen clearly and large, "
            "with the whole head, face towards the camera"
        )
    return sorted(people, key=_area, reverse=True)


def choose(people: list[Keypoints], person: int | None = None) -> Keypoints:
    """The largest person, or number `person` (1 is the largest), if an avatar can be made of them.

    NoPersonError if there is no such person, they are too small, or their head is not visible.
    """
    if person is not None and not 1 <= person <= len(people):
        raise NoPersonError(f"person {person} was asked for, the photo shows {len(people)}")
    chosen = people[0 if person is None else person - 1]
    if chosen.height < MIN_HEIGHT:
        raise NoPersonError(
            f"person too small: {chosen.height:.0f} pixels tall, at least {MIN_HEIGHT} are needed; "
            "use a closer or larger photo"
        )
    if chosen.face is None:
        raise NoPersonError(
            "head not visible: the person was found, but no face; use a photo that shows the whole "
            "head, face towards the camera and uncovered"
        )
    face_height = chosen.face.box[3] - chosen.face.box[1]
    if face_height < MIN_FACE:
        raise NoPersonError(
            f"person too small: the face is {face_height:.0f} pixels tall, at least {MIN_FACE} are "
            "needed; use a closer or larger photo"
        )
    return chosen


def _people(rgb: UInt8[np.ndarray, "h w 3"], perception: Perception) -> list[Keypoints]:
    people = [_looked_at(rgb, pose, perception) for pose in _everyone(rgb, perception)]
    people = _distinct([person for person in people if person is not None and _is_real(person)])
    for face in faces_in(rgb, perception):
        if not any(_holds(person, face) for person in people):
            people.append(_face_only(rgb, face))
    return people


def _everyone(rgb: UInt8[np.ndarray, "h w 3"], perception: Perception) -> list[Pose]:
    """Candidates, most trusted first: from the whole photo, then from tiles of a half; from smaller
    ones only while there is nobody. Their points are in the photo's pixels."""
    found: list[Pose] = []
    for parts in (1, 2, 4, 6):
        if parts >= 4 and (found or max(rgb.shape[:2]) < parts * MIN_TILE):
            break
        for box in _tiles(rgb.shape[0], rgb.shape[1], parts):
            window = crop(rgb, box, 320, SEARCH_SIDE)
            if window is None:
                continue
            for pose in perception.poses(window.rgb):
                moved = _moved(pose, window)
                if not any(_same(moved.points, other.points) for other in found):
                    found.append(moved)
    return found


def _tiles(height: int, width: int, parts: int) -> list[Float32[np.ndarray, "4"]]:
    """Windows of 1/parts of either side, each overlapping its neighbours by half."""
    size = np.asarray([width, height], np.float32) / parts
    steps = np.arange(2 * parts - 1) / 2
    return [
        np.concatenate([size * (x, y), size * (x + 1, y + 1)]).astype(np.float32)
        for y in steps
        for x in steps
    ]


def _looked_at(
    rgb: UInt8[np.ndarray, "h w 3"], pose: Pose, perception: Perception
) -> Keypoints | None:
    """The person of a candidate pose again, alone in a crop, with mask, hands and face."""
    size = (rgb.shape[0], rgb.shape[1])
    left, top, right, bottom = _visible_box(pose.points, size)
    ends = pose.points[ANKLES, 2].max() > VISIBLE
    room = (0.2 if ends else 0.8) * max(right - left, bottom - top) + 8
    around = np.asarray([left - room, top - room, right + room, bottom + room], np.float32)
    window = crop(rgb, around, 320, PERSON_SIDE)
    if window is None:
        return None
    found = [(again, _moved(again, window)) for again in perception.posed(window.rgb)]
    found = [pair for pair in found if _same(pair[1].points, pose.points)]
    if not found:
        return None
    local, best = min(found, key=lambda pair: _distance(pair[1].points, pose.points))
    left_hand, right_hand = _hands(rgb, best, perception)
    box = _visible_box(best.points, size)
    return Keypoints(
        best.points,
        best.world,
        box if local.mask is None else _covering(box, local.mask, window),
        left_hand,
        right_hand,
        _face(rgb, best, perception),
        window,
        np.zeros(window.rgb.shape[:2], np.float32) if local.mask is None else local.mask,
        size,
    )


def _hands(
    rgb: UInt8[np.ndarray, "h w 3"], pose: Pose, perception: Perception
) -> tuple[Hand | None, Hand | None]:
    """Left and right hand, each the detection nearest its wrist; one detection serves one wrist."""
    metre = pixels_per_metre(pose.points, pose.world)
    sides = []
    for side in (0, 1):
        hands = _hands_at(rgb, pose, side, perception)
        sides.append(min(hands, key=lambda pair: pair[0], default=None))
    left, right = sides
    if left and right:
        gap = np.linalg.norm(left[1].points[:, :2] - right[1].points[:, :2], axis=1).mean()
        if gap < 0.05 * metre:  # The same hand, seen from both wrists.
            left, right = (left, None) if left[0] <= right[0] else (None, right)
    return left and left[1], right and right[1]


def _hands_at(
    rgb: UInt8[np.ndarray, "h w 3"], pose: Pose, side: int, perception: Perception
) -> list[tuple[float, Hand]]:
    """Hands of believable size at a wrist, each with its cost: the gap in metres, 5 cm more where
    the network believes it to be the other side's."""
    metre = pixels_per_metre(pose.points, pose.world)
    wrist, seen = pose.points[WRISTS[side], :2], pose.points[WRISTS[side], 2]
    height, width = rgb.shape[:2]
    inside = (0 <= wrist).all() and wrist[0] < width and wrist[1] < height
    if not np.isfinite(metre) or seen < 0.3 or not inside:
        return []
    knuckles = pose.points[[INDEX_KNUCKLES[side], PINKY_KNUCKLES[side]], :2].mean(axis=0)
    found = []
    for metres in HAND_CROPS:
        window = crop(rgb, square((wrist + knuckles) / 2, metres * metre), 256, 768)
        if window is None:
            continue
        for hand in perception.hands(window.rgb):
            placed = replace(hand, points=window.to_photo(hand.points))
            gap = float(np.linalg.norm(placed.points[0, :2] - wrist)) / metre
            reach = float(np.ptp(placed.points[:, :2], axis=0).max()) / metre
            if gap < MAX_WRIST_GAP and 0.05 < reach < 0.28:
                found.append((gap + 0.05 * (hand.is_left != (side == 0)), placed))
        if found:
            break
    return found


def _face(rgb: UInt8[np.ndarray, "h w 3"], pose: Pose, perception: Perception) -> Face | None:
    head = pose.points[HEAD, :2]
    metre = pixels_per_metre(pose.points, pose.world)
    sizes = [1.5 * float(np.ptp(head, axis=0).max()), 0.22 * metre if np.isfinite(metre) else 0.0]
    return face_near(rgb, head.mean(axis=0), max(*sizes, 8.0), perception)


def _face_only(rgb: UInt8[np.ndarray, "h w 3"], face: Face) -> Keypoints:
    """A person of whom only the face was found: the head's points from it, the rest unknown."""
    pose = np.full((33, 3), np.nan, np.float32)
    pose[:, 2] = 0
    for point, landmark in FACE_POINTS.items():
        pose[point] = [*face.landmarks[landmark, :2], 1]
    left, top, right, bottom = face.box
    wide, tall = right - left, bottom - top
    height, width = rgb.shape[:2]
    box = np.asarray([left - wide, top - 0.8 * tall, right + wide, bottom + 2 * tall], np.float32)
    box = np.clip(box, 0, [width, height, width, height]).astype(np.float32)
    window = crop(rgb, box, 64, PERSON_SIDE)
    if window is None:
        raise NoPersonError("head not visible: the face lies outside the photo")
    nowhere = np.full((33, 3), np.nan, np.float32)
    soft = _bust(face, window)
    return Keypoints(pose, nowhere, box, None, None, face, window, soft, (height, width))


def _bust(face: Face, window: Crop) -> Float32[np.ndarray, "mh mw"]:
    """A guess at the mask from the face alone: sure of the face, likely hair, perhaps shoulders."""
    soft = np.zeros(window.rgb.shape[:2], np.float32)
    oval = (face.landmarks[list(OVAL), :2] - window.corner) * window.scale
    x, y = oval.mean(axis=0)
    wide, tall = np.ptp(oval, axis=0)
    shoulders = [
        [x - 0.4 * wide, y], [x + 0.4 * wide, y], [x + 0.6 * wide, y + 0.7 * tall],
        [x + 1.4 * wide, y + 1.1 * tall], [x + 1.5 * wide, y + 3 * tall],
        [x - 1.5 * wide, y + 3 * tall], [x - 1.4 * wide, y + 1.1 * tall],
        [x - 0.6 * wide, y + 0.7 * tall],
    ]  # fmt: skip
    cv2.fillPoly(soft, [np.round(shoulders).astype(np.int32)], 0.6)
    skull = ((float(x), float(y - 0.1 * tall)), (1.25 * float(wide), 1.35 * float(tall)), 0.0)
    cv2.ellipse(soft, skull, 0.7, -1)
    cv2.fillPoly(soft, [np.round(oval).astype(np.int32)], 1.0)
    return soft


def _moved(pose: Pose, window: Crop) -> Pose:
    points = pose.points.copy()
    points[:, :2] = points[:, :2] / window.scale + window.corner
    return replace(pose, points=points)


def pixels_per_metre(
    points: Float32[np.ndarray, "33 3"], world: Float32[np.ndarray, "33 3"]
) -> float:
    """The ratio of spreads around the middle, over visible points; NaN if too few are."""
    seen = (points[:, 2] > VISIBLE) & np.isfinite(points).all(axis=1)
    if seen.sum() < 3:
        return float("nan")
    flat, metres = points[seen, :2], world[seen, :2]
    return float(np.std(flat - flat.mean(0)) / max(np.std(metres - metres.mean(0)), 1e-6))


def _visible_box(
    points: Float32[np.ndarray, "33 3"], size: tuple[int, int]
) -> Float32[np.ndarray, "4"]:
    """Around the visible points inside the photo, with room for the skull above the eyes."""
    limit = np.asarray([size[1], size[0]], np.float32)
    inside = (points[:, :2] >= 0).all(axis=1) & (points[:, :2] <= limit).all(axis=1)
    seen = inside & (points[:, 2] > 0.3)
    flat = points[seen if seen.sum() >= 2 else slice(None), :2]
    low, high = flat.min(axis=0), flat.max(axis=0)
    low[1] -= 1.2 * np.ptp(points[HEAD, :2], axis=0).max()
    low, high = np.clip(low, 0, limit), np.clip(high, 0, limit)
    return np.concatenate([low, high]).astype(np.float32)


def _covering(
    box: Float32[np.ndarray, "4"], mask: Float32[np.ndarray, "h w"], window: Crop
) -> Float32[np.ndarray, "4"]:
    """The box widened to all that the mask holds for the person."""
    rows, columns = np.nonzero(mask > VISIBLE)
    if len(rows) == 0:
        return box
    corners = np.asarray([[columns.min(), rows.min()], [columns.max() + 1, rows.max() + 1]])
    low, high = corners / np.float32(window.scale) + window.corner
    return np.concatenate([np.minimum(box[:2], low), np.maximum(box[2:], high)]).astype(np.float32)


def _distance(a: Float32[np.ndarray, "33 3"], b: Float32[np.ndarray, "33 3"]) -> float:
    """Mean gap of points visible in both, in units of the larger one's visible size."""
    seen = (a[:, 2] > VISIBLE) & (b[:, 2] > VISIBLE)
    if seen.sum() < 3:
        return float("inf")
    size = max(np.ptp(a[seen, :2], axis=0).max(), np.ptp(b[seen, :2], axis=0).max(), 1e-6)
    return float(np.linalg.norm(a[seen, :2] - b[seen, :2], axis=1).mean() / size)


def _same(a: Float32[np.ndarray, "33 3"], b: Float32[np.ndarray, "33 3"]) -> bool:
    return _distance(a, b) < 0.25


def _is_real(person: Keypoints) -> bool:
    """Not a pattern in the background: a face was found, or most of a body is surely seen."""
    return person.face is not None or int((person.pose[:, 2] > 0.6).sum()) >= 20


def _distinct(people: list[Keypoints]) -> list[Keypoints]:
    """Without second sightings: the same points again, or a box mostly inside a larger one's."""
    kept: list[Keypoints] = []
    for person in sorted(people, key=lambda p: (p.face is not None, _area(p)), reverse=True):
        if not any(_same(person.pose, other.pose) or _repeats(person, other) for other in kept):
            kept.append(person)
    return kept


def _repeats(person: Keypoints, other: Keypoints) -> bool:
    """Whether the person is a part of the other: inside their box, with the same face or none."""
    low = np.maximum(person.box[:2], other.box[:2])
    high = np.minimum(person.box[2:], other.box[2:])
    shared = float(np.prod(np.clip(high - low, 0, None))) / max(_area(person), 1e-6)
    if person.face is not None and other.face is not None:
        return _holds(other, person.face)
    return shared > 0.7


def _holds(person: Keypoints, face: Face) -> bool:
    """Whether the face is the person's own."""
    middle = (face.box[:2] + face.box[2:]) / 2
    own = person.pose[NOSE, :2] if person.face is None else person.face.box.reshape(2, 2).mean(0)
    return float(np.linalg.norm(middle - own)) < 0.7 * float(face.box[3] - face.box[1])


def _area(person: Keypoints) -> float:
    return float(np.prod(person.box[2:] - person.box[:2]))
