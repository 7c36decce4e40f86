"""A prior of one's own: the pictures of a set, and nothing else. Its denoiser is exact."""

import torch
from jaxtyping import Float
from torch import Tensor

from incarnate.priors import Condition, Denoiser, Images, Latents, Levels, Schedule, sample


class SetOfPictures(Denoiser):
    """Data are these pictures, each as likely as the next."""

    reads = ("text",)
    schedule = Schedule.scaled_linear(prediction="sample")

    def __init__(self, pictures: Float[Tensor, "n h w c"]) -> None:
        self.pictures = self.encode(pictures)

    def encode(self, images: Images) -> Latents:
        return images.movedim(-1, 1) * 2 - 1

    def decode(self, latents: Latents) -> Images:
        return (latents.movedim(1, -1) + 1) / 2

    def predict(self, x_t: Latents, t: Levels, condition: Condition) -> Latents:
        a, s = self.schedule.signal(t).view(-1, 1, 1), self.schedule.noise(t).view(-1, 1)
        known = self.pictures.flatten(1).double()
        apart = (x_t.flatten(1)[:, None] - a * known).square().sum(-1)
        return (torch.softmax(-apart / (2 * s**2), 1) @ known).view_as(x_t).to(x_t)

    def unconditional(self, condition: Condition) -> Condition:
        return condition.negative()

    def features(self, x_t: Latents, t: Levels, condition: Condition) -> tuple[Tensor, ...]:
        return (self.predict(x_t, t, condition),)


if __name__ == "__main__":
    prior = SetOfPictures(torch.rand(5, 8, 8, 3))
    print(sample(prior, torch.randn(2, 3, 8, 8), Condition()).shape)
