"""Pictures or clips through a VAE of pictures: the frames of clips a few at a time."""

from incarnate.priors.autoencoder import Autoencoder
from incarnate.priors.denoiser import Images
from incarnate.priors.frames import in_chunks
from incarnate.priors.schedule import Latents


def encoded(vae: Autoencoder, images: Images, chunk: int) -> Latents:
    """b *f h w 3 to b 4 *f y x. ValueError for sides that the VAE cannot halve."""
    if images.ndim == 4:
        return vae.encode(images)
    frames = in_chunks(vae.encode, images.flatten(0, 1), chunk)
    return frames.unflatten(0, (len(images), -1)).movedim(1, 2)


def decoded(vae: Autoencoder, latents: Latents, chunk: int) -> Images:
    """b 4 *f y x to b *f h w 3, each frame for itself; near [0, 1], not clamped."""
    if latents.ndim == 4:
        return vae.decode(latents)
    frames = in_chunks(vae.decode, latents.movedim(2, 1).flatten(0, 1), chunk)
    return frames.unflatten(0, (len(latents), -1))
