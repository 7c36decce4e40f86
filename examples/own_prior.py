"""A prior of one's own: the pictures of a set, and nothing else. Its denoiser is exact."""

import torch

from incarnate.priors import Condition, Denoiser, Images, Latents, Levels, Schedule, sample


class SetOfPictures(Denoiser):
    """Data are these pictures, each as likely as the next."""

    schedule = Schedule.scaled_linear(prediction="sample")

    def __init__(self, pictures: Images) -> None:
        self.known = self.encode(pictures).flatten(1).double()

    @property
    def reads(self) -> tuple[str, ...]:
        return ("text",)

    def encode(self, images: Images) -> Latents:
        return images.movedim(-1, 1) * 2 - 1

    def decode(self, latents: Latents) -> Images:
        return (latents.movedim(1, -1) + 1) / 2

    def predict(self, x_t: Latents, t: Levels, condition: Condition) -> Latents:
        a, s = self.schedule.signal(t).view(-1, 1, 1), self.schedule.noise(t).view(-1, 1)
        apart = (x_t.flatten(1)[:, None] - a * self.known).square().sum(-1)
        return (torch.softmax(-apart / (2 * s**2), 1) @ self.known).view_as(x_t).to(x_t)

    def unconditional(self, condition: Condition) -> Condition:
        return condition.negative()

    def features(self, x_t: Latents, t: Levels, condition: Condition) -> tuple[Latents, ...]:
        return (self.predict(x_t, t, condition),)


if __name__ == "__main__":
    prior = SetOfPictures(torch.rand(5, 8, 8, 3))
    print(sample(prior, torch.randn(2, 3, 8, 8), Condition()).shape)
