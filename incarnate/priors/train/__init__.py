"""Training of diffusion models on shards of the studio, at any size: `incarnate train`."""

from incarnate.priors.train.run import train
from incarnate.recipe import Recipe

__all__ = ["Recipe", "train"]
