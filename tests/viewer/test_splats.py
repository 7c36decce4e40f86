import numpy as np
import torch
from viser import GaussianSplatHandle

from incarnate.rotations import quat_to_matrix
from incarnate.scene import Gaussians
from incarnate.viewer.splats import packed


def cloud(count: int = 500) -> Gaussians:
    rng = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=rng)

    scales = torch.logspace(-3.5, -1.5, count)[:, None] * torch.tensor([1.0, 0.7, 0.2])
    return Gaussians(
        normal(count, 3), 3 * normal(count, 4), scales.log(), normal(count), normal(count, 3)
    )


def test_the_wire_holds_what_viser_itself_would_pack():
    scene = cloud()
    colors = scene.colors.clamp(0, 1)
    axes = quat_to_matrix(scene.quats.double()) * (10 * scene.scales.double())[:, None]
    theirs = np.zeros((len(scene.means), 8), np.uint32)
    GaussianSplatHandle._pack_centers(theirs, 10 * scene.means.numpy())
    GaussianSplatHandle._pack_covariances(theirs, (axes @ axes.mT).numpy())
    GaussianSplatHandle._pack_rgba(theirs, colors.numpy(), scene.opacities[:, None].numpy())
    ours = packed(scene, scene.colors)
    np.testing.assert_array_equal(ours[:, :4], theirs[:, :4])
    halves = [words[:, 4:7].copy().view(np.float16).astype(float) for words in (ours, theirs)]
    np.testing.assert_allclose(*halves, rtol=2e-3, atol=1e-6)  # A half's last place is 1e-3.
    rgba = [words[:, 7:].copy().view(np.uint8).astype(int) for words in (ours, theirs)]
    assert np.abs(rgba[0] - rgba[1]).max() <= 1  # They cut off, we round.


def test_small_gaussians_keep_their_size():
    """To 0.1 % at 0.3 mm, where metres would be off by 15 %."""
    fine = cloud(200)
    fine = Gaussians(
        fine.means, fine.quats, torch.full((200, 3), 3e-4).log(), fine.logit_opacities, fine.colors
    )
    halves = packed(fine, fine.colors)[:, 4:7].copy().view(np.float16).astype(float)
    sigma = np.sqrt(halves[:, [0, 3, 5]]) / 10
    np.testing.assert_allclose(sigma, 3e-4, rtol=1e-3)
