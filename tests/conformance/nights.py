"""Each recipe's small night: the one place to add a new recipe's, so that the suite holds it."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

import tutor
from tests.commands import ratchet
from warehouse.lake import Lake

ROUNDS = 2
LOOP = "night"


@dataclass(frozen=True)
class SmallNight:
    """Settings under which two rounds of a recipe take seconds, each with a training of four steps or more.

    `kills` are faults of its own (warehouse/store/fault.py) between the verdicts and the freeze.
    `silent` are the views that have no row of its rounds.
    """

    settings: tuple[str, ...]
    kills: tuple[str, ...] = ()
    silent: frozenset[str] = frozenset()


RFT = (
    "prompts.per_round=24",
    "prompts.eval_count=16",
    "sampling.samples=4",
    "evaluation.sampled_count=4",
    "evaluation.samples=2",
    "training.batch_size=4",
    "training.save_every=2",
    "gate.alpha=1.0",
    "shard_size=8",
)
TEACHING = ("imitation", "teaching")
"""Views of rounds with a teacher that answers held-out prompts, or writes what is learned."""
DISTILLED = ("divergence",)
"""Views of distillation by logits."""
HARM = ("harm_by_kind", "harm_by_principle", "harm_by_revision")
"""Views of the constitutional phase."""
NIGHTS = {
    "rft": SmallNight(
        RFT,
        kills=("append decisions: file written",),
        silent=frozenset(
            {
                *(
                    "inventions",
                    "judge_agreement",
                    "labelled_pairs",
                    "pairs_of_checkpoint",
                    "rewards",
                    "spending",
                ),
                "policy",
                *HARM,
                *TEACHING,
                *DISTILLED,
            }
        ),
    ),
    "grpo": SmallNight(
        (
            *RFT,
            "iterations=3",
            "prompts_per_iteration=8",
            "training.batch_size=8",
            "training.policy.kl_weight=0.05",
            "rewards.unfinished=0.5",
        ),
        kills=("append tokens: file written", "append rollouts: committed", "append decisions: file written"),
        silent=frozenset(
            {
                *("inventions", "judge_agreement", "labelled_pairs", "pairs_of_checkpoint", "rewards"),
                *("spending", *HARM, *TEACHING, *DISTILLED),
            }
        ),
    ),
    "self-rewarding": SmallNight(
        (
            *RFT,
            "prompts.per_round=12",
            "training.epochs=1",
            "seeds.count=30",
            "seeds.keep_judging=0.5",
            "rewarding.min_gap=1.0",
            "rewarding.votes=2",
            "invention.share=0.25",
        ),
        kills=("append preferences: committed",),
        silent=frozenset({"policy", "spending", *HARM, *TEACHING, *DISTILLED}),
    ),
    "constitutional": SmallNight(
        (
            *RFT,
            "sampling.samples=1",
            "revisions=2",
            "red_team.count=24",
            "red_team.eval_count=8",
            "red_team.look_alike_count=6",
        ),
        kills=("append decisions: file written",),
        silent=frozenset(
            {
                *(
                    "inventions",
                    "judge_agreement",
                    "labelled_pairs",
                    "pairs_of_checkpoint",
                    "policy",
                    "rewards",
                ),
                "spending",
                *TEACHING,
                *DISTILLED,
            }
        ),
    ),
    "distillation-logits": SmallNight(
        (
            *RFT,
            f"teacher.model={tutor.SEEDED_READER}",
            "writer=student",
            "prompts.eval_count=8",
            "evaluation.sampled_count=2",
            "iterations=2",
            "prompts_per_iteration=6",
            "keep=verified",
            "training.epochs=3",
            "training.distil.divergence=reverse",
            "training.distil.temperature=1.0",
            "training.distil.cross_entropy_weight=0.0",
            "training.distil.k=8",
        ),
        kills=("append soft_targets: committed",),
        silent=frozenset(
            {
                *("inventions", "judge_agreement", "labelled_pairs", "pairs_of_checkpoint", "policy"),
                *("rewards", "spending", *HARM, *TEACHING),
            }
        ),
    ),
    "distillation": SmallNight(
        (
            *RFT,
            f"teacher.model={tutor.SEEDED_READER}",
            "rationalising.samples=1",
            "invention.count=3",
            "invention.attempts=1",
        ),
        kills=("append decisions: file written", "append candidates: committed#2"),
        silent=frozenset(
            {
                *("judge_agreement", "labelled_pairs", "pairs_of_checkpoint", "policy", "rewards"),
                *("spending", *HARM, *DISTILLED),
            }
        ),
    ),
    "constitutional-rl": SmallNight(
        (
            *RFT,
            "prompts.per_round=8",
            "prompts.eval_count=8",
            "sampling.samples=2",
            "sampling.max_tokens=48",
            "red_team.count=12",
            "red_team.eval_count=8",
            "red_team.look_alike_count=6",
            "feedback.constitution=null",
            "feedback.logits=true",
            "feedback.votes=1",
            "feedback.share=0.75",
            "preference_model.training.epochs=1",
            "preference_model.training.batch_size=4",
            "iterations=2",
            "prompts_per_iteration=8",
            "critic.warm_up=1",
            "evaluation.sampled_count=0",
        ),
        kills=("append preferences: committed", "append rollouts: committed", "append tokens: file written"),
        silent=frozenset(
            {
                *("inventions", "judge_agreement", "rewards", "spending"),
                *("harm_by_principle", "harm_by_revision", *TEACHING, *DISTILLED),
            }
        ),
    ),
    "preference-model": SmallNight(
        (
            *RFT,
            "prompts.per_round=24",
            "sampling.samples=2",
            "training.epochs=2",
        ),
        kills=("append preferences: committed",),
        silent=frozenset(
            {
                *("accuracy_by_steps", "audited_verdicts", "form_and_substance", "inventions"),
                *("judge_agreement", "policy", "rewards", "spending", *HARM, *TEACHING, *DISTILLED),
            }
        ),
    ),
}


def small_night(recipe: str) -> SmallNight:
    """The small night of a recipe; a test of a recipe that has none fails by a line that says what to add."""
    if recipe not in NIGHTS:
        pytest.fail(
            f"recipe {recipe} has no small night: add its settings to NIGHTS of {Path(__file__).name}"
        )
    return NIGHTS[recipe]


def night_arguments(recipe: str, lake: Path | str, rounds: int = ROUNDS) -> list[str]:
    """The command that runs so many rounds of a recipe's small night."""
    settings = [word for setting in small_night(recipe).settings for word in ("--set", setting)]
    return ["run", recipe, "--lake", str(lake), "--loop", LOOP, "--rounds", str(rounds), *settings]


@pytest.fixture(scope="session")
def undisturbed(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Lake]:
    """`undisturbed(recipe)`: its small night by Prefect, as a user starts it, that nothing happened to.

    Made once for all processes of a test run: who needs more than to read it takes a copy.
    """
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent

    @cache
    def made(recipe: str) -> Lake:
        folder = shared / f"undisturbed-{recipe}"
        folder.mkdir(exist_ok=True)
        with (folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not (folder / "whole").exists():
                shutil.rmtree(folder / "lake", ignore_errors=True)  # of one that failed
                environment = request.getfixturevalue("prefect_server")
                result = ratchet(
                    *night_arguments(recipe, folder / "lake"), environment=environment, anew=True
                )
                assert result.returncode == 0, result.stderr
                (folder / "whole").touch()
        return Lake(folder / "lake")

    return made
