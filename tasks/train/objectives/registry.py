"""The training objectives, by name."""

from __future__ import annotations

from collections.abc import Callable

from schemas.errors import BadInput
from schemas.job import Dpo, Hyperparameters
from tasks.train.objectives.dpo import dpo
from tasks.train.objectives.objective import Objective
from tasks.train.objectives.sft import sft


def _dpo(hyper: Hyperparameters) -> Objective:
    if hyper.turns != "last":
        raise BadInput("turns=all is for objective sft: a preference is between last answers")
    return dpo(hyper.dpo or Dpo())


OBJECTIVES: dict[str, Callable[[Hyperparameters], Objective]] = {
    "sft": lambda hyper: sft(hyper.turns),
    "dpo": _dpo,
}


def get_objective(name: str, hyper: Hyperparameters) -> Objective:
    """The objective of that name under a job's hyper-parameters; BadInput names those there are."""
    if name not in OBJECTIVES:
        raise BadInput(f"no training objective is called {name!r}; there are: {', '.join(OBJECTIVES)}")
    return OBJECTIVES[name](hyper)
