"""What a scheduler's configuration file says, as a `Schedule`."""

from collections.abc import Mapping
from inspect import signature
from typing import Any

from incarnate.priors.schedule import Prediction, Schedule, Spacing

PREDICTIONS: dict[str, Prediction] = {
    "epsilon": "epsilon",
    "sample": "sample",
    "v_prediction": "v",
}
SPACINGS: dict[str, Spacing] = {
    "leading": "leading",
    "trailing": "trailing",
    "linspace": "linspace",
}


_LEVELS = "num_train_timesteps"


def schedule_of(config: Mapping[str, object]) -> Schedule:
    """The schedule of a diffusers scheduler; its solver is not taken over: sampling is DDIM.

    ValueError for a schedule that is none of ours.
    """
    levels = int(_number(config, _LEVELS, 1000.0, 2, 100_000))
    if config.get("_class_name") == "FlowMatchEulerDiscreteScheduler":
        return Schedule.flow_matching(_number(config, "shift", 1.0, 1e-3, 1e3), levels)
    if config.get("use_flow_sigmas"):
        return Schedule.flow(_number(config, "flow_shift", 1.0, 1e-3, 1e3), levels)
    if config.get("timestep_type") == "continuous":
        return _continuous(config)
    return _of_betas(config, levels)


def _continuous(config: Mapping[str, object]) -> Schedule:
    """Stable Video's; others that are continuous are unknown."""
    if config.get("prediction_type") != "v_prediction" or not config.get("use_karras_sigmas"):
        raise ValueError(
            "the scheduler is continuous but not Stable Video's (v_prediction, use_karras_sigmas)"
        )
    least = _number(config, "sigma_min", 0.002, 1e-6, 1e3)
    return Schedule.karras(least, _number(config, "sigma_max", 700.0, 2 * least, 1e6))


def _of_betas(config: Mapping[str, object], levels: int) -> Schedule:
    """Variance preserving, from betas; diffusers works them out."""
    from diffusers.schedulers.scheduling_ddim import DDIMScheduler

    told = str(config.get("prediction_type", "epsilon"))
    if told not in PREDICTIONS:
        raise ValueError(
            f"the scheduler's network predicts '{told}'; known are {', '.join(PREDICTIONS)}"
        )
    spacing = str(config.get("timestep_spacing") or _own_spacing(config))
    if spacing not in SPACINGS:
        raise ValueError(
            f"the scheduler's timestep_spacing is '{spacing}'; known are {', '.join(SPACINGS)}"
        )
    try:
        theirs: Any = DDIMScheduler.from_config(dict(config))
        cumprod = theirs.alphas_cumprod
    except Exception as error:  # Whatever diffusers says of a stranger's configuration.
        reason = " ".join(str(error).split())[:200]
        raise ValueError(f"the scheduler's betas cannot be worked out: {reason}") from error
    return Schedule.of_cumprod(
        cumprod,
        PREDICTIONS[told],
        SPACINGS[spacing],
        int(_number(config, "steps_offset", 0.0, 0, levels)),
        config.get("set_alpha_to_one", True) is True,
    )


def _own_spacing(config: Mapping[str, object]) -> str:
    """What the scheduler's class does when nothing is said: some begin at the last level."""
    import diffusers

    cls = getattr(diffusers, str(config.get("_class_name")), None)
    told = None if cls is None else signature(cls.__init__).parameters.get("timestep_spacing")
    return "leading" if told is None else told.default


def _number(
    config: Mapping[str, object], name: str, default: float, low: int | float, high: int | float
) -> float:
    match config.get(name):
        case None:
            return default
        case int() | float() as value if low <= value <= high:
            return float(value)
        case other:
            raise ValueError(
                f"the scheduler's {name} is {other!r}; a number from {low:g} to {high:g} was wanted"
            )
