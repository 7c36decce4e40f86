"""The roles in which methods need diffusion models, and what a model must read to play them."""

from typing import Literal, get_args

Role = Literal[
    "text-to-normal",
    "text-to-depth",
    "normal-aligned-rgb",
    "pose-driven-video",
    "projected-reference",
]
ROLES: tuple[Role, ...] = get_args(Role)
READS: dict[Role, tuple[str, ...]] = {
    "text-to-normal": ("text",),
    "text-to-depth": ("text",),
    "normal-aligned-rgb": ("text", "normal"),
    "pose-driven-video": ("pose",),
    "projected-reference": ("projection",),
}
"""What a prior must read to play a role."""


def check_role(role: Role, reads: tuple[str, ...], wants: tuple[str, ...], where: str) -> None:
    """ValueError if a prior does not read what the role gives, or wants what it does not give.

    `where` are the prior's weights, `reads` all parts of a condition it knows, `wants` those of
    them without which it does not predict.
    """
    given = READS[role]
    missing = [part for part in given if part not in reads]
    beside = [part for part in wants if part not in (*given, "view")] if "text" in given else []
    if missing or beside:
        why = f"not {missing[0]}" if missing else f"{role} gives it no {beside[0]}"
        raise ValueError(
            f"{where} cannot play {role}: it reads {', '.join(reads)}, and {why}; docs/priors.md "
            "says which weights can, and what to lay over others"
        )
