"""What networks compute on the way, without changing them."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack

from torch import Tensor, nn


def captured(modules: Sequence[nn.Module], run: Callable[[], object]) -> tuple[Tensor, ...]:
    """The (first) output of each module while `run` runs, in the modules' order; differentiable."""
    found: dict[int, Tensor] = {}

    def keeper(index: int) -> Callable[[nn.Module, object, object], None]:
        def keep(module: nn.Module, given: object, output: object) -> None:
            match output:
                case Tensor():
                    found[index] = output
                case (Tensor() as first, *_):
                    found[index] = first
                case _:
                    raise TypeError(f"{type(module).__name__} gives {type(output).__name__}")

        return keep

    with ExitStack() as hooks:
        for index, module in enumerate(modules):
            hooks.callback(module.register_forward_hook(keeper(index)).remove)
        run()
    return tuple(found[index] for index in range(len(modules)))
