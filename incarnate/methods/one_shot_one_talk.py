"""One Shot, One Talk (Xiang et al., 2024): one photo to a coupled Gaussian-mesh avatar.

The stages are the paper's. The pseudo-labels of its Sec. 3.2 come from a diffusion model there;
here `complete` stands in for them and answers from the photo alone (see
`incarnate.avatars.complete`).
"""

from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from functools import partial

import numpy as np
import torch
from jaxtyping import Float
from scipy.spatial import KDTree
from torch import Tensor

from incarnate.avatars import drapery, garments, hair, mouth, outline, repaint, tailor
from incarnate.avatars.color import to_lab
from incarnate.avatars.complete import Completion, Seen, completed, nearest
from incarnate.avatars.surface import (
    Discs,
    Drive,
    Freedom,
    SurfaceAvatar,
    carried,
    dense_weights,
    scattered,
    together,
    triangle_frames,
)
from incarnate.body.anny import Anny
from incarnate.body.bending import Hold, centers, skinned
from incarnate.cameras import Camera
from incarnate.fit import (
    AppearanceWeights,
    SilhouetteWeights,
    Target,
    fit_appearance,
    fit_silhouette,
    sampled,
)
from incarnate.methods.evidence import Look, Pictures, believed, look
from incarnate.methods.parts import Part, checked
from incarnate.perception.track import Track
from incarnate.progress import Report
from incarnate.render import contributions
from incarnate.scene.mesh import vertex_normals


@dataclass(frozen=True)
class OneShot:
    """Photo to a talking avatar, after One Shot, One Talk."""

    num_gaussians: int = 90_000
    """Discs on the body and its clothes."""
    long_side: int = 1100
    """Pixels of the person's longer side in the pictures learnt from."""
    head_side: int = 512
    """Pixels of the square picture of the head learnt from."""
    matte_pixels: int = 1_000_000
    """Pixels at which the person is cut out of the photo."""
    silhouette: SilhouetteWeights = SilhouetteWeights()
    appearance: AppearanceWeights = AppearanceWeights()
    seed: int = 0
    """Same photo, seed and machine: same avatar."""
    without: tuple[Part, ...] = ()
    """Parts left out, to see what they are worth; set by `leaving_out`."""

    def leaving_out(self, names: Iterable[str]) -> "OneShot":
        """These settings without some parts (`incarnate.methods.parts`). ValueError for others."""
        without = checked(names)
        hold, fit = self.silhouette, self.appearance
        hold = hold if "mesh-laplacian" not in without else replace(hold, laplacian_weight=0.0)
        hold = hold if "stiffness" not in without else replace(hold, offset_weight=0.0)
        fit = fit if "ssim" not in without else replace(fit, ssim_weight=0.0)
        fit = fit if "alpha" not in without else replace(fit, alpha_weight=0.0)
        fit = fit if "coupling" not in without else replace(fit, coupling_weight=0.0)
        fit = fit if "laplacian" not in without else replace(fit, laplacian_weight=0.0)
        fit = fit if "anisotropy" not in without else replace(fit, isotropic=True)
        return replace(self, silhouette=hold, appearance=fit, without=without)


HAND_ROOM = 0.07  # Metres around a hand in the picture within which clothes are not let out.

# Twelve steps cannot follow the photo as closely as the usual weights would pull them to.
_FEW = AppearanceWeights(
    steps=12, rgb_weight=0.8, laplacian_weight=0.03, scale_lr=0.015, offset_lr=0.0003, spin_lr=0.03
)
PRESETS = {
    "tiny": OneShot(3000, 160, 96, 300_000, SilhouetteWeights(steps=15), _FEW),
    "draft": OneShot(
        40_000, 640, 320, 300_000, SilhouetteWeights(steps=40), AppearanceWeights(steps=40)
    ),
    "normal": OneShot(),
    "high": OneShot(
        200_000, 1500, 768, 1_000_000, SilhouetteWeights(steps=90), AppearanceWeights(steps=250)
    ),
}


def one_shot_one_talk(
    config: OneShot,
    track: Track,
    pictures: Pictures,
    body: Anny,
    report: Report,
    complete: Completion | None = None,
) -> SurfaceAvatar:
    """The avatar of the person in the pictures, whom `track` has fitted with the body.

    `complete` answers for what they do not show, instead of the method's own completion.
    """
    without = config.without
    if complete is None:
        own = partial(completed, without=without)
        complete = nearest if "completion" in without else own
    rng = torch.Generator().manual_seed(config.seed)
    rest = body.shaped(track.betas)
    drive = Drive(track.expression, track.pose, track.transl)
    bones = body.bones(body.joints(rest), drive.pose, drive.transl)
    where = garments.anatomy(body, rest)

    report.stage("silhouette")
    offsets = torch.zeros_like(rest)
    if "silhouette" not in without:
        offsets = let_out(config, track, pictures, body, where, bones, report)
    if "teeth" not in without:
        offsets = offsets + teeth(track, pictures, body, bones)
    weights = dense_weights(body)
    discs = scatter(config, body, rest + offsets, where, track, rng)

    report.stage("completion")
    draft = SurfaceAvatar(body, track.betas, offsets, weights, discs)
    offsets, weights = dressed(config, draft, drive, where, pictures, track)
    discs = scatter(config, body, rest + offsets, where, track, rng)
    avatar = SurfaceAvatar(body, track.betas, offsets, weights, discs)
    again = look(avatar, drive, where, pictures, track)
    points = again.points
    labels, seen = believed(again, "trust" not in without)
    colors = complete(points, labels, seen, np.random.default_rng(config.seed))
    discs = replace(discs, colors=torch.tensor(colors).float(), labels=torch.tensor(labels))
    avatar.discs = tailor.sealed(discs, points)
    if "refinement" in without:
        return avatar

    report.stage("appearance")
    freedom = free(points, labels, seen, again.crowded, config)
    wanted = avatar.discs.colors
    avatar.discs = refined(config, avatar, drive, pictures, again, freedom, rng, report)
    if "repainting" not in without:
        report.stage("repainting")
        shown = contributions(avatar(drive), pictures.full.camera)
        avatar.discs = repaint.repainted(avatar, wanted, shown)
    return avatar


def dressed(
    config: OneShot,
    draft: SurfaceAvatar,
    drive: Drive,
    where: garments.Anatomy,
    pictures: Pictures,
    track: Track,
) -> tuple[Float[Tensor, "v 3"], Float[Tensor, "v j"]]:
    """Offsets and skinning weights of clothes and hair, shaped where the photo does not show."""
    body, rest, offsets = draft.body, draft.rest, draft.vertex_offsets
    first = look(draft, drive, where, pictures, track)
    worn = garments.outfit(first.points, first.lab, first.confidence)
    weights = tailor.hung(draft.weights, body, where)
    if "depth" not in config.without:
        offsets = drapery.thickened(offsets, body.faces, where, worn)
    if "clothes" not in config.without:
        offsets = tailor.shaped_clothes(rest, offsets, body.faces, where, worn)
        offsets = drapery.shod(rest, offsets, where, worn)
    bones = body.bones(draft.joints, drive.pose, drive.transl)
    bare = skinned(rest, draft.weights, bones, draft.centers)
    view = pictures.full
    closed = drapery.is_skirt(bare, offsets, where, worn, view.camera, view.alpha)
    if closed and "skirt" not in config.without:
        offsets = drapery.skirted(rest, offsets, where, worn)
        weights = drapery.skirt_weights(weights, rest + offsets, body, where, worn)
    if not worn.bald and "hair-width" not in config.without:
        offsets = puffed(draft, offsets, bones, where, first, pictures.head)
    if "hanging-hair" not in config.without:
        hanging, head = garments.hanging(where, worn.hair_end), body.smplx_joints["head"]
        offsets = hair.curtain(rest, offsets, body.faces, hanging, where.scalp)
        weights = hair.hung(weights, body.faces, head, where.points[:, 1], hanging, where.scalp)
    if "drawing-in" not in config.without:
        offsets = offsets + drawn_in(draft, drive, offsets, weights, bones, where, view)
    return offsets, weights


def drawn_in(
    draft: SurfaceAvatar, drive: Drive, offsets: Tensor, weights: Tensor, bones, where, view: Target
) -> Float[Tensor, "v 3"]:
    """Further offsets, by which nothing sticks out of the matte; hands, eyes and mouth stay."""
    face = draft.body.express(draft.rest, drive.expression) + offsets
    movable = torch.tensor((where.segments != garments.HAND) & (where.fixed < 0))
    faces, hold = draft.body.faces, Hold.of(weights)
    posed = skinned(face, weights, bones, centers(draft.rest + offsets, hold, faces))
    return outline.drawn_in(posed, hold.turns(bones), movable, faces, view.camera, view.alpha)


def puffed(
    draft: SurfaceAvatar, offsets: Tensor, bones: Tensor, where, seen: Look, target: Target
) -> Float[Tensor, "v 3"]:
    """Offsets with hair as wide at the ears as the picture of the head shows it."""
    head = bones[draft.body.smplx_joints["head"]]
    skin = garments.skin_model(seen.points, seen.lab, seen.confidence)
    color = garments.hair_color(seen.points, seen.lab, seen.confidence, skin)
    if color is None:
        return offsets
    both = torch.cat([target.rgb, target.alpha[..., None]], 2)

    def shown(points: Float[np.ndarray, "n 3"]):
        there = torch.tensor(points).float() @ head[:3, :3].T + head[:3, 3]
        values = sampled(both, target.camera.project(there)).numpy()
        return values[:, 3], to_lab(values[:, :3] / values[:, 3:].clip(1e-3))

    mine = where.points[where.scalp > 0.5]
    heights = np.arange(mine[:, 1].min(), mine[:, 1].max(), 0.008)
    extents = hair.extents(hair.boxed(mine), heights, shown, color)
    return hair.puffed(draft.rest, offsets, draft.body.faces, where.scalp, extents)


def free(points, labels, seen: Seen, crowded, config: OneShot) -> Freedom:
    """How far discs may follow the photo; without `freedom`, all as far as what it shows best."""
    bounds = tailor.freedom(points, labels, seen.confidence, crowded)
    if "freedom" not in config.without:
        return bounds
    widest = (getattr(bounds, f.name) for f in fields(Freedom))
    return Freedom(*(bound.max().expand_as(bound) for bound in widest))


def let_out(config, track: Track, pictures: Pictures, body: Anny, where, bones, report: Report):
    """Mesh offsets dT that fill the matte (L_M), smooth by a Laplacian; then hair behind."""
    rest = body.shaped(track.betas)
    face = body.express(rest, track.expression)
    weights = dense_weights(body)
    normals = vertex_normals(rest, body.faces)
    hold = Hold.of(weights)
    posed = skinned(face, weights, bones, centers(rest, hold, body.faces))
    directions = (hold.turns(bones) @ normals[..., None])[..., 0]
    rng = torch.Generator().manual_seed(config.seed)
    corners = body.faces
    area = torch.linalg.cross(
        posed[corners[:, 1]] - posed[corners[:, 0]], posed[corners[:, 2]] - posed[corners[:, 0]]
    ).norm(dim=1)
    area = area * torch.tensor(where.fixed < 0)[corners].all(1)
    faces, barycentrics, _ = scattered(area, min(12_000, config.num_gaussians), rng)
    heights = fit_silhouette(
        posed,
        directions,
        tailor.stiffness(where) + 1000 * behind_hands(pictures.coarse.camera, posed, where),
        (corners[faces], barycentrics),
        body.faces,
        pictures.coarse,
        config.silhouette,
        report,
    )
    forward = (track.camera.center - posed) / (track.camera.center - posed).norm(
        dim=1, keepdim=True
    )
    facing = (vertex_normals(posed, body.faces) * forward).sum(1)
    heights = hair.behind(heights, facing, where.points, where.scalp, body.faces)
    return heights[:, None] * normals


def teeth(track: Track, pictures: Pictures, body: Anny, bones) -> Float[Tensor, "v 3"]:
    """Vertex offsets that set the teeth where the photo shows them."""
    rest = body.shaped(track.betas)
    offsets = mouth.set_teeth(body, rest)
    face = body.express(rest, track.expression)
    weights = dense_weights(body)
    about = centers(rest + offsets, Hold.of(weights), body.faces)
    posed = skinned(face + offsets, weights, bones, about)
    head = pictures.head
    rgb = head.rgb / head.alpha[..., None].clamp_min(1e-3)
    return offsets + mouth.lengthened(body, rest, posed, head.camera, rgb)


def behind_hands(camera: Camera, posed: Tensor, where) -> Float[Tensor, " v"]:
    """1 for vertices beside or behind a hand in the picture: the matte's outline there is the
    hand's, and says nothing of the clothes."""
    pixels = camera.project(posed)
    reach = HAND_ROOM * camera.intrinsics[0, 0] / camera.local(posed)[:, 2]
    hand = torch.tensor(where.segments == garments.HAND)
    tree = KDTree(pixels[hand].numpy())
    distance = torch.from_numpy(tree.query(pixels.numpy())[0]).float()
    return ((1.5 - distance / reach) * 2).clamp(0, 1) * ~hand


def scatter(
    config: OneShot, body: Anny, rest: Tensor, where, track: Track, rng: torch.Generator
) -> Discs:
    """Discs over the clothed mesh at rest: denser on the face and the hands, and where seen."""
    a, b, c = rest[body.faces].unbind(1)
    area = torch.linalg.cross(b - a, c - a).norm(dim=1) / 2
    density = tailor.density(where)[body.faces].mean(1)
    faces, barycentrics, shares = scattered(area * density, config.num_gaussians, rng)
    sigma = (area[faces] * shares).sqrt().clamp(3e-4, 0.03) * 0.8
    count = len(faces)
    log_scales = torch.stack([sigma, sigma, (0.3 * sigma).clamp_min(3e-4)], 1).log()
    return Discs(
        faces,
        barycentrics,
        torch.zeros(count, 3),
        torch.rand(count, generator=rng) * torch.pi,
        log_scales,
        torch.full((count,), 3.5),
        torch.full((count, 3), 0.5),
        torch.zeros(count, dtype=torch.long),
    )


def refined(
    config: OneShot,
    avatar: SurfaceAvatar,
    drive: Drive,
    pictures: Pictures,
    seen: Look,
    freedom: Freedom,
    rng: torch.Generator,
    report: Report,
) -> Discs:
    """The seen discs, fitted to the photo in its pose; the completed ones stay (Eq. 10)."""
    frames = triangle_frames(avatar.vertices(drive), avatar.body.faces)
    rest = avatar.rest_frames
    there = carried(avatar.discs, rest, frames)
    beneath = torch.zeros(len(there.faces), dtype=torch.bool)
    if "lining" not in config.without:
        more = tailor.lining(there, seen.points, seen.facing)
        there = together(there, more)
        freedom = tailor.held(freedom, len(more.faces))
        beneath = torch.cat([beneath, torch.ones(len(more.faces), dtype=torch.bool)])
    learnt = fit_appearance(
        there,
        frames,
        freedom,
        beneath,
        [pictures.full] if "head-picture" in config.without else [pictures.full, pictures.head],
        config.appearance,
        rng,
        report,
    )
    return carried(learnt, frames, rest)
