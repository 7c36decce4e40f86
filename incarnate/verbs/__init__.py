"""What the command line takes: one dataclass a verb, one documented field a flag."""

from typing import Annotated, Union

from tyro.conf import arg

from incarnate.verbs.avatars import Animate, Create, Export, Mix, Render, Shot, Talk, View
from incarnate.verbs.workshop import (
    Convert,
    Doctor,
    Evaluate,
    Inspect,
    Listed,
    Plan,
    Sample,
    Studio,
    Train,
    Weights,
)

__all__ = [
    "Animate",
    "Convert",
    "Create",
    "Doctor",
    "Evaluate",
    "Export",
    "Inspect",
    "Listed",
    "Mix",
    "Plan",
    "Render",
    "Sample",
    "Shot",
    "Studio",
    "Talk",
    "Train",
    "Verb",
    "View",
    "Weights",
]

# Union, and help given here: for `|` tyro imports typeguard, and for help it parses typing.py,
# which doubles the time to --help.
Verb = Annotated[
    Union[  # noqa: UP007
        Create,
        Render,
        Animate,
        Talk,
        Export,
        Inspect,
        View,
        Evaluate,
        Studio,
        Train,
        Sample,
        Plan,
        Weights,
        Doctor,
    ],
    arg(help="What to do."),
]
