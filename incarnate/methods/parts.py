"""What One Shot, One Talk is made of here, by names: each can be left out, to see what it is worth.

Losses and bounds go by the paper's sections where it has them; `completion` and what stands after
it take the place of the paper's pseudo-labels (Sec. 3.2).
"""

from collections.abc import Iterable
from typing import Literal, cast, get_args

Part = Literal[
    "silhouette",
    "mesh-laplacian",
    "stiffness",
    "teeth",
    "depth",
    "clothes",
    "skirt",
    "hair-width",
    "hanging-hair",
    "drawing-in",
    "trust",
    "completion",
    "course",
    "texture",
    "strands",
    "healing",
    "hollows",
    "known-colors",
    "refinement",
    "head-picture",
    "ssim",
    "alpha",
    "coupling",
    "laplacian",
    "anisotropy",
    "freedom",
    "lining",
    "repainting",
]
MEANINGS: dict[Part, str] = {
    "silhouette": "clothes and hair let out to fill the matte (L_M)",
    "mesh-laplacian": "smoothness of what is let out (L_lap of the mesh)",
    "stiffness": "face, hands and feet held to the body while the rest is let out",
    "teeth": "teeth set where the photo shows them",
    "depth": "cloth as loose in front and behind as at the outline",
    "clothes": "cloth that spans hollows, shoes closed over toes",
    "skirt": "skirts as one surface round both legs",
    "hair-width": "hair at the ears as wide as the photo shows it",
    "hanging-hair": "long hair that hangs clear of neck and shoulders",
    "drawing-in": "clothes and hair drawn in where they stick out of the matte",
    "trust": "doubt about what the photo shows at borders, on lids, at a slant",
    "completion": "colours for the unseen by material; without it, that of the nearest seen place",
    "course": "of completion: colour that drifts along the body",
    "texture": "of completion: fine texture borrowed from seen places",
    "strands": "of completion: streaks in unseen hair",
    "healing": "of completion: no seam between seen and guessed",
    "hollows": "of completion: darker hollows of unseen hands",
    "known-colors": "of completion: the usual colours of teeth, tongue, mouth and lashes",
    "refinement": "seen discs fitted to the photo (Eq. 10)",
    "head-picture": "the enlarged head as a second picture to learn from",
    "ssim": "the structural term of the photo loss (Eq. 10)",
    "alpha": "the matte's term of the photo loss",
    "coupling": "discs held to the mesh (L_MGC, Eq. 8)",
    "laplacian": "neighbouring discs that learn alike (L_lap, Eq. 8)",
    "anisotropy": "discs of two scales; without it, of one",
    "freedom": "bounds on how far a disc may follow the photo",
    "lining": "a second layer beneath hair, and beneath skin of the head seen at a slant",
    "repainting": "unseen discs' colours solved for, so that overlaps do not blur their texture",
}
PARTS: tuple[Part, ...] = get_args(Part)


def checked(names: Iterable[str]) -> tuple[Part, ...]:
    """The names, each once, in the order of PARTS. ValueError names the known ones."""
    wanted = set(names)
    unknown = sorted(wanted - set(PARTS))
    if unknown:
        raise ValueError(
            f"{', '.join(map(repr, unknown))} is no part of the method that can be left out; "
            f"known are {', '.join(PARTS)}"
        )
    return tuple(cast(Part, name) for name in PARTS if name in wanted)
