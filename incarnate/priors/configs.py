"""What a scheduler's configuration file says, as a `Schedule`."""

from collections.abc import Mapping
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


def schedule_of(config: Mapping[str, object]) -> Schedule:
    """The schedule of a diffusers scheduler; its solver is not taken over: sampling is DDIM.

    ValueError for a schedule that is none of ours.
    """
    name = config.get("_class_name")
    if name == "FlowMatchEulerDiscreteScheduler":
        return Schedule.flow_matching(
            _number(config, "shift", 1.0), int(_number(config, _LEVELS, 1000.0))
        )
    if config.get("use_flow_sigmas"):
        return Schedule.flow(
            _number(config, "flow_shift", 1.0), int(_number(config, _LEVELS, 1000.0))
        )
    if config.get("timestep_type") == "continuous":
        return Schedule.karras(
            _number(config, "sigma_min", 0.002), _number(config, "sigma_max", 700.0)
        )
    return _of_betas(config)


_LEVELS = "num_train_timesteps"


def _of_betas(config: Mapping[str, object]) -> Schedule:
    """Variance preserving, from betas; diffusers works them out."""
    from diffusers.schedulers.scheduling_ddim import DDIMScheduler

    told = str(config.get("prediction_type", "epsilon"))
    if told not in PREDICTIONS:
        raise ValueError(
            f"the scheduler's network predicts '{told}'; known are {', '.join(PREDICTIONS)}"
        )
    theirs: Any = DDIMScheduler.from_config(dict(config))
    return Schedule.of_cumprod(
        theirs.alphas_cumprod,
        PREDICTIONS[told],
        SPACINGS.get(str(config.get("timestep_spacing")), "leading"),
        int(_number(config, "steps_offset", 0.0)),
        bool(config.get("set_alpha_to_one", True)),
    )


def _number(config: Mapping[str, object], name: str, default: float) -> float:
    match config.get(name):
        case None:
            return default
        case int() | float() as value:
            return float(value)
        case other:
            raise ValueError(f"the scheduler's {name} is {other!r}; a number was wanted")
