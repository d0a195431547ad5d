"""The training objectives, by name."""

from __future__ import annotations

from collections.abc import Callable

from schemas.errors import BadInput
from schemas.job import Distil, Dpo, Hyperparameters, Policy, Reward, Value
from tasks.train.objectives.distil import distil
from tasks.train.objectives.dpo import dpo
from tasks.train.objectives.objective import Objective
from tasks.train.objectives.policy import policy
from tasks.train.objectives.reward import reward
from tasks.train.objectives.sft import sft
from tasks.train.objectives.value import value


def _dpo(hyper: Hyperparameters) -> Objective:
    if hyper.turns != "last":
        raise BadInput("turns=all is for objective sft: a preference is between last answers")
    return dpo(hyper.dpo or Dpo())


def _reward(hyper: Hyperparameters) -> Objective:
    if hyper.turns != "last":
        raise BadInput("turns=all is for objective sft: a preference is between last answers")
    return reward(hyper.reward or Reward())


def _policy(hyper: Hyperparameters) -> Objective:
    if hyper.turns != "last":
        raise BadInput("turns=all is for objective sft: a policy is trained on the answers that it drew")
    return policy(hyper.policy or Policy())


def _distil(hyper: Hyperparameters) -> Objective:
    if hyper.turns != "last":
        raise BadInput("turns=all is for objective sft: a teacher's distributions are those of one answer")
    return distil(hyper.distil or Distil())


OBJECTIVES: dict[str, Callable[[Hyperparameters], Objective]] = {
    "sft": lambda hyper: sft(hyper.turns),
    "dpo": _dpo,
    "reward": _reward,
    "value": lambda hyper: value(hyper.value or Value()),
    "policy": _policy,
    "distil": _distil,
}


def get_objective(name: str, hyper: Hyperparameters) -> Objective:
    """The objective of that name under a job's hyper-parameters; BadInput names those there are."""
    if name not in OBJECTIVES:
        raise BadInput(f"no training objective is called {name!r}; there are: {', '.join(OBJECTIVES)}")
    return OBJECTIVES[name](hyper)
