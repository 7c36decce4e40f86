"""What flags of several verbs are made of."""

from pathlib import Path
from typing import Annotated

from tyro.conf import FlagCreatePairsOff, arg

Output = Annotated[Path, arg(aliases=["-o"])]
Switch = FlagCreatePairsOff[bool]
Quiet = Annotated[Switch, arg(aliases=["-q"])]
Provenance = Annotated[
    Switch,
    arg(help="Leave out content credentials and watermark: docs/provenance.md says what they are."),
]

PORT = 8080
Port = Annotated[
    int, arg(help="Where the viewer answers, on this machine alone; else the next free port.")
]
