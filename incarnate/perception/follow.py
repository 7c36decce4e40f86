"""One person followed through a film: where body, face and hands are, frame by frame.

Each frame is looked at in crops around where the person just was; only when they are lost is the
whole frame searched. Nothing is carried from frame to frame but that place, so that nothing lags.
Coordinates as in `landmarkers`: pixels, the first pixel's centre at (0.5, 0.5).
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import final

import numpy as np
from jaxtyping import Float32, UInt8

from incarnate.io.film import FilmFrame
from incarnate.perception.face import Crop, Face, crop, square
from incarnate.perception.keypoints import (
    HAND_CROPS,
    HEAD,
    INDEX_KNUCKLES,
    MAX_WRIST_GAP,
    PINKY_KNUCKLES,
    WRISTS,
    Keypoints,
    NoPersonError,
    keypoints,
    pixels_per_metre,
)
from incarnate.perception.landmarkers import Hand, Perception, Pose
from incarnate.progress import Report

BODY_SIDE, FACE_SIDE, HAND_SIDE = (256, 640), (512, 512), (224, 448)  # Pixels of the crops.
SEARCH_SIDE = 960
SEARCH_EVERY = 12  # Frames between thorough searches for somebody who is lost.
ROOM = 0.2  # Of the body's larger side, around it.
FARTHEST = 0.5  # Mean move of the points from frame to frame, over the body's larger side.
SEEN = 0.5


@dataclass(frozen=True, eq=False)
class Sightings:
    """What was seen in each frame; NaN where it was not. Sides: the person's left, then right."""

    fps: float
    size: tuple[int, int]
    """Rows and columns of the frames."""
    points: Float32[np.ndarray, "f 33 3"]
    """The body's x, y, visibility."""
    world: Float32[np.ndarray, "f 33 3"]
    """In metres from the middle of the hips: x right, y down, z away."""
    face: Float32[np.ndarray, "f 478 3"]
    arkit: Float32[np.ndarray, "f 52"]
    head: Float32[np.ndarray, "f 3 3"]
    """The face's turn: x right, y up, z towards the viewer; none for one that looks ahead."""
    hands: Float32[np.ndarray, "f 2 21 2"]
    hands_world: Float32[np.ndarray, "f 2 21 3"]

    def __len__(self) -> int:
        return len(self.points)


@final
@dataclass
class _Diary:
    """Grows by a row a frame."""

    rows: dict[str, list[np.ndarray]] = field(default_factory=dict)

    def write(self, pose: Pose | None, face: Face | None, hands: list[Hand | None]) -> None:
        def put(name: str, value: np.ndarray | None, shape: tuple[int, ...]) -> None:
            row = np.full(shape, np.nan, np.float32) if value is None else value
            self.rows.setdefault(name, []).append(row.astype(np.float32))

        put("points", pose and pose.points, (33, 3))
        put("world", pose and pose.world, (33, 3))
        put("face", face and face.landmarks, (478, 3))
        put("arkit", face and face.arkit, (52,))
        put("head", face and face.head_pose[:3, :3], (3, 3))
        nothing = [np.full((21, n), np.nan, np.float32) for n in (2, 3)]
        put("hands", np.stack([h.points[:, :2] if h else nothing[0] for h in hands]), (2, 21, 2))
        put("hands_world", np.stack([h.world if h else nothing[1] for h in hands]), (2, 21, 3))


def follow(
    frames: Iterable[FilmFrame],
    fps: float,
    perception: Perception,
    report: Report,
    person: int | None = None,
    num_frames: int = 0,
) -> Sightings:
    """The largest person of the first frame that shows one, or number `person` (1 is the largest).

    NoPersonError if no frame shows that person.
    """
    diary = _Diary()
    tracker = _Tracker(perception, 0 if person is None else person - 1)
    size = (0, 0)
    for i, frame in enumerate(frames):
        if size != frame.rgb.shape[:2]:
            tracker.forget()
            size = size if any(size) else (frame.rgb.shape[0], frame.rgb.shape[1])
        diary.write(*tracker.look(frame.rgb))
        report.step(i + 1, max(num_frames, i + 2))
    if not tracker.found:
        whom = "no person" if person is None else f"no person number {person}"
        raise NoPersonError(
            f"{whom} found in the film; use one in which somebody is seen clearly and large"
        )
    return Sightings(fps, size, **{name: np.stack(rows) for name, rows in diary.rows.items()})


@final
class _Tracker:
    """Where the person was last."""

    def __init__(self, perception: Perception, rank: int) -> None:
        self.perception, self.rank = perception, rank
        self.found = False
        self._pose: Pose | None = None
        self._face: Face | None = None
        self._last: Pose | None = None
        self._searches = 0
        self._missed = [0, 0]

    def forget(self) -> None:
        """The picture has changed altogether."""
        self._pose = self._face = None

    def look(
        self, rgb: UInt8[np.ndarray, "h w 3"]
    ) -> tuple[Pose | None, Face | None, list[Hand | None]]:
        """Body, face, and left and right hand in the next frame."""
        if self._pose is None and self._face is None:
            pose = self._searched(rgb)
        else:
            pose = self._body(rgb)
        face = self._faced(rgb, pose)
        if pose is None and face is None and (self._pose or self._face):
            self.forget()
            pose = self._searched(rgb)
            face = self._faced(rgb, pose)
        self.found = self.found or pose is not None or face is not None
        self._pose, self._face = pose, face
        self._last = pose or self._last
        if pose is None:
            return None, face, [None, None]
        return pose, face, self._hands(rgb, pose)

    def _searched(self, rgb: UInt8[np.ndarray, "h w 3"]) -> Pose | None:
        """The person anywhere in the frame; before they were first seen, by their rank in size."""
        self._searches += 1
        last = self._last
        if last is not None:
            whole = crop(rgb, _box_of(rgb), 256, SEARCH_SIDE)
            found = _poses(whole, self.perception) if whole else []
            near = [p for p in found if _move(p, last) < 2 * FARTHEST]
            if near:
                return min(near, key=lambda p: _move(p, last))
        if (self._searches - 1) % SEARCH_EVERY:
            return None
        try:
            people = keypoints(rgb, self.perception)
        except NoPersonError:
            return None
        if self.found:
            return _as_pose(people[0])
        return self._chosen(people)

    def _chosen(self, people: list[Keypoints]) -> Pose | None:
        if self.rank >= len(people):
            return None
        chosen = people[self.rank]
        if not np.isfinite(chosen.pose_world).all():
            self._face = chosen.face
        return _as_pose(chosen)

    def _body(self, rgb: UInt8[np.ndarray, "h w 3"]) -> Pose | None:
        """The pose nearest the last one, in a crop around it."""
        if self._pose is None:
            return self._searched(rgb) if self._searches % SEARCH_EVERY else None
        window = crop(rgb, _surroundings(self._pose.points), *BODY_SIDE)
        found = _poses(window, self.perception) if window else []
        if not found:
            whole = crop(rgb, _box_of(rgb), 256, SEARCH_SIDE)
            found = _poses(whole, self.perception) if whole else []
        last = self._pose
        near = [p for p in found if _move(p, last) < FARTHEST]
        return min(near, key=lambda p: _move(p, last), default=None)

    def _faced(self, rgb: UInt8[np.ndarray, "h w 3"], pose: Pose | None) -> Face | None:
        """The face nearest the head, or where it was last."""
        for center, side in self._faces_expected(pose):
            window = crop(rgb, square(center, side), *FACE_SIDE)
            if window is None:
                continue
            found = []
            for raw in self.perception.faces(window.rgb):
                landmarks = window.to_photo(raw.points)
                flat = landmarks[:, :2]
                low, high = flat.min(0), flat.max(0)
                gap = float(np.linalg.norm((low + high) / 2 - center))
                box = np.concatenate([low, high])
                found.append((gap, Face(landmarks, raw.arkit, raw.head_pose, box)))
            gap, face = min(found, key=lambda pair: pair[0], default=(np.inf, None))
            if gap < 0.5 * side:
                return face
        return None

    def _faces_expected(self, pose: Pose | None) -> list[tuple[Float32[np.ndarray, "2"], float]]:
        places = []
        if self._face is not None:
            center, tall = (
                (self._face.box[:2] + self._face.box[2:]) / 2,
                np.ptp(self._face.box.reshape(2, 2), axis=0).max(),
            )
            if pose is not None and self._pose is not None:  # The head has moved on.
                center = center + (pose.points[HEAD, :2] - self._pose.points[HEAD, :2]).mean(0)
            places.append((center.astype(np.float32), 1.9 * float(tall)))
        if pose is not None:
            head = pose.points[HEAD, :2]
            size = max(
                1.5 * float(np.ptp(head, axis=0).max()),
                0.22 * _metre(pose),
            )
            places += [(head.mean(0), factor * size) for factor in (2.2, 3.5)]
        return places

    def _hands(self, rgb: UInt8[np.ndarray, "h w 3"], pose: Pose) -> list[Hand | None]:
        """Left and right hand; one that is missed is sought in another crop in the next frame.

        A hand that the network holds for the other side is misread: it errs in 2 of 22 crops of
        photos, but in half of those of small or plain hands, whose wrists come out twisted.
        """
        found: list[tuple[float, Hand | None]] = []
        for side in (0, 1):
            pair = self._hand(rgb, pose, side)
            self._missed[side] = 0 if pair else self._missed[side] + 1
            found.append(pair or (np.inf, None))
        (left_cost, left), (right_cost, right) = found
        if left and right:
            gap = np.linalg.norm(left.points[:, :2] - right.points[:, :2], axis=1).mean()
            if gap < 0.05 * pixels_per_metre(
                pose.points, pose.world
            ):  # The same hand, seen from both wrists.
                return [left, None] if left_cost <= right_cost else [None, right]
        return [left, right]

    def _hand(
        self, rgb: UInt8[np.ndarray, "h w 3"], pose: Pose, side: int
    ) -> tuple[float, Hand] | None:
        wrist, seen = pose.points[WRISTS[side], :2], pose.points[WRISTS[side], 2]
        size, limit = _metre(pose), np.asarray(rgb.shape[1::-1])
        if seen < SEEN or not np.isfinite(size) or (wrist < 0).any() or (wrist >= limit).any():
            return None
        ends = [INDEX_KNUCKLES[side], PINKY_KNUCKLES[side]]
        center = wrist + 0.8 * (pose.points[ends, :2].mean(0) - wrist)
        metres = HAND_CROPS[self._missed[side] % len(HAND_CROPS)]
        window = crop(rgb, square(center, metres * size), *HAND_SIDE)
        if window is None:
            return None
        found = []
        for hand in self.perception.hands(window.rgb):
            if hand.is_left != (side == 0):
                continue
            points = window.to_photo(hand.points)
            gap = float(np.linalg.norm(points[0, :2] - wrist)) / size
            reach = float(np.ptp(points[:, :2], axis=0).max()) / size
            other = float(np.linalg.norm(points[0, :2] - pose.points[WRISTS[1 - side], :2])) / size
            if gap < min(MAX_WRIST_GAP, other) and 0.05 < reach < 0.28:
                found.append((gap, Hand(points, hand.world, hand.score, hand.is_left)))
        return min(found, key=lambda pair: pair[0], default=None)


def _metre(pose: Pose) -> float:
    """Pixels of a metre at the body's distance."""
    return pixels_per_metre(pose.points, pose.world)


def _poses(window: Crop, perception: Perception) -> list[Pose]:
    out = []
    for pose in perception.poses(window.rgb):
        points = pose.points.copy()
        points[:, :2] = points[:, :2] / window.scale + window.corner
        out.append(Pose(points, pose.world, None))
    return out


def _as_pose(person: Keypoints) -> Pose | None:
    if not np.isfinite(person.pose_world).all():
        return None
    return Pose(person.pose, person.pose_world, None)


def _box_of(rgb: UInt8[np.ndarray, "h w 3"]) -> Float32[np.ndarray, "4"]:
    return np.asarray([0, 0, rgb.shape[1], rgb.shape[0]], np.float32)


def _surroundings(points: Float32[np.ndarray, "33 3"]) -> Float32[np.ndarray, "4"]:
    """A box with room for the next move and for the skull above the eyes."""
    seen = points[:, 2] > 0.3
    flat = points[seen if seen.sum() >= 3 else slice(None), :2]
    low, high = flat.min(0), flat.max(0)
    room = ROOM * float((high - low).max())
    return np.concatenate([low - room, high + room]).astype(np.float32)


def _move(pose: Pose, last: Pose) -> float:
    """Mean way of points visible in both, over the larger side of the body."""
    seen = (pose.points[:, 2] > SEEN) & (last.points[:, 2] > SEEN)
    if seen.sum() < 3:
        return float("inf")
    a, b = pose.points[seen, :2], last.points[seen, :2]
    side = max(float(np.ptp(a, axis=0).max()), float(np.ptp(b, axis=0).max()), 1e-6)
    return float(np.linalg.norm(a - b, axis=1).mean()) / side
