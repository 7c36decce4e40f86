"""Whether lips say what is heard: measured on finished films, by landmarks and a foreign aligner.

    python benchmarks/talking.py AVATAR ... [--speech FILE --text "its words"] [--out out/talking]

Films each avatar with `incarnate talk` (head, 512 x 512) saying three sentences, or the recording,
once heard and once told its words; finds 478 face points in every frame, and takes the times of
sounds from pocketsphinx, which listens to the film's own track. Lengths are in
distances of the irises. Closed: the least gap between the inner lips within an m, b or p (and a
frame about it) is under 0.02. Open: the largest within an open vowel is over 0.06. Jaw (upper lip
to chin, with depth, since nods foreshorten it; from the nose's tip, which slides under nods, the
correlation is 0.6 to 0.8) and mouth width are correlated with the same lengths on the body's own
face under the driving curves. Lag: the shift at which the gap follows the sounds' openness best;
positive where lips come late.
"""

import argparse
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import torch

from incarnate.audio import SPEECH_RATE
from incarnate.body.anny import Anny
from incarnate.evaluate.aligner import phones
from incarnate.evaluate.talk import SENTENCES
from incarnate.io.sounds import read_sound
from incarnate.metrics import mouths
from incarnate.metrics.mouths import CHIN, IRISES, LEFT, LIPS, RIGHT, UPPER
from incarnate.perception.landmarkers import Perception
from incarnate.perception.sight import landmarks
from incarnate.progress import Silent
from incarnate.sources import joined, recording, sentence
from incarnate.speech import Speaking

OPEN = {"AA", "AE", "AO", "AW", "AY", "AH"}
FPS = 30.0


@dataclass(frozen=True, eq=False)
class Film:
    """What is measured of one film, per frame, and what drove it."""

    gap: np.ndarray
    width: np.ndarray
    jaw: np.ndarray
    driven_width: np.ndarray
    driven_jaw: np.ndarray
    phones: list[tuple[str, float, float]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("avatars", nargs="+", type=Path)
    parser.add_argument("--speech", type=Path)
    parser.add_argument("--text", help="the words of --speech")
    parser.add_argument("--out", type=Path, default=Path("out/talking"))
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    for avatar in arguments.avatars:
        if not arguments.speech:
            said = [filmed(avatar, None, t, arguments.out, k) for k, t in enumerate(SENTENCES)]
            shown(avatar.stem, "sentences", said)
            continue
        for told in (False, True):
            sound = arguments.speech, told
            film = filmed(avatar, sound, arguments.text, arguments.out, 8 + told)
            shown(avatar.stem, "told" if told else "heard", [film])


def filmed(
    avatar: Path, sound: tuple[Path, bool] | None, text: str, out: Path, number: int
) -> Film:
    path = out / f"{avatar.stem}_{number}.mp4"
    speech, told = sound or (None, False)
    said = ["--say", text] if speech is None else [str(speech), *(["--text", text] if told else [])]
    subprocess.run(
        [sys.executable, "-m", "incarnate", "talk", str(avatar), *said, "-o", str(path),
         "--framing", "head", "--size", "512", "--fps", str(FPS), "--quiet"],
        check=True,
    )  # fmt: skip
    config = Speaking(fps=FPS)
    moving = (
        sentence(text, config, 0)
        if speech is None
        else recording(speech, text if told else None, config, 0, False, Silent())
    )
    driven = own_face(joined(moving.parts()).expression)
    shown = points_of(path)
    count = min(len(shown), len(driven))
    gap, width, jaw = lengths(shown[:count])
    _, driven_width, driven_jaw = lengths(driven[:count])
    return Film(
        gap, width, jaw, driven_width, driven_jaw, phones(read_sound(path, SPEECH_RATE), text)
    )


def points_of(film: Path) -> np.ndarray:
    """Face points (f 478 3) of every frame; NaN where no face is found."""
    with Perception() as perception, av.open(str(film)) as container:
        frames = (frame.to_ndarray(format="rgb24") for frame in container.decode(video=0))
        return mouths.face_points(frames, perception)


def own_face(expression: torch.Tensor) -> np.ndarray:
    """The same points on the average body's face under the driving curves."""
    body = Anny.load()
    mixtures, rest = landmarks(body).mixtures, body.shaped(body.default_betas())
    corners, shares = mixtures.vertices[:478], mixtures.weights[:478]
    faces = (body.express(rest, weights)[corners] for weights in body.arkit(expression))
    return np.array([(face * shares[..., None]).sum(1).numpy() for face in faces])


def lengths(points: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Lip gap, mouth width and jaw opening over time, in iris distances."""

    def apart(a: int, b: int, axes: int = 2) -> np.ndarray:
        return np.linalg.norm(points[:, a, :axes] - points[:, b, :axes], axis=1)

    unit, deep = apart(*IRISES), apart(*IRISES, 3)
    return mouths.gaps(points), apart(LEFT, RIGHT) / unit, apart(UPPER, CHIN, 3) / deep


def shown(name: str, kind: str, films: list[Film]) -> None:
    lags, closed, opened = [], [], []
    for film in films:
        times = np.arange(len(film.gap)) / FPS
        lips = mouths.articulated(film.gap, FPS, film.phones)
        closed += lips.least
        opened += lips.most
        lags.append(lag(film, times))
    pairs = [(f.jaw, f.driven_jaw) for f in films], [(f.width, f.driven_width) for f in films]
    jaw, width = (np.mean([correlation(a, b) for a, b in both]) for both in pairs)
    lost = sum(int(np.isnan(film.gap).sum()) for film in films)
    print(
        f"{name:24s} {kind:16s} closed {100 * np.mean(np.array(closed) < mouths.CLOSED):5.1f} % of "
        f"{len(closed)} (median {np.median(closed):.3f})  open "
        f"{100 * np.mean(np.array(opened) > mouths.OPEN):5.1f} % of {len(opened)} "
        f"(median {np.median(opened):.3f})  jaw r {jaw:.2f} width r {width:.2f}  "
        f"lag {' '.join(f'{1000 * x:+.0f}' for x in lags)} ms  frames without face {lost}",
        flush=True,
    )


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    known = ~np.isnan(a) & ~np.isnan(b)
    return float(np.corrcoef(a[known], b[known])[0, 1])


def lag(film: Film, times: np.ndarray) -> float:
    """Seconds by which the lips follow the sounds."""
    fine = np.arange(0, times[-1], 0.005)
    wanted = np.full(len(fine), 0.4)
    for symbol, start, end in film.phones:
        level = 1.0 if symbol in OPEN else 0.0 if symbol in LIPS or symbol == "SIL" else 0.4
        wanted[(fine >= start) & (fine < end)] = level
    smooth = np.exp(-0.5 * (np.arange(-30, 31) / 8) ** 2)  # 40 ms: lips do not jump.
    wanted = np.convolve(wanted, smooth / smooth.sum(), "same")
    known = ~np.isnan(film.gap)
    shifts = np.arange(-0.2, 0.2001, 0.005)
    scores = [
        np.corrcoef(np.interp(fine + shift, times[known], film.gap[known]), wanted)[0, 1]
        for shift in shifts
    ]
    return float(shifts[int(np.argmax(scores))])


if __name__ == "__main__":
    main()
