"""The freezing step of a round: the snapshot that a training reads, frozen by content."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import polars as pl

from flows.opening.demonstrations import judging_prompts
from flows.round.round import Round
from flows.steps.task import step_task
from schemas.recipes.asking import Asking
from tasks.filter.chain import survivors
from tasks.models.asking import put, with_prompts
from tasks.models.conversation import prompts_of
from warehouse.lake import Where
from warehouse.query import read
from warehouse.snapshot import PromptForm, freeze


def freeze_examples(
    round_: Round[Any],
    decisions: pl.DataFrame,
    objective: str = "sft",
    units: Iterable[str] = (),
    form: PromptForm | None = None,
) -> str | None:
    """The snapshot the round trains from: what `selections/<objective>.sql` draws, frozen by content.

    `units` are those of further facts that it is drawn from, such as preferences. None where the last filter
    kept nothing and `units` is empty. A round that freezes twice for one objective does so in two phases.
    `form` is how prompts are put, where it is not as the recipe asks them.
    """
    others = set(units)
    if survivors(decisions).is_empty() and not others:
        return None
    sources = sorted({*decisions["unit"], *others})
    with round_.step("freeze", None, "examples") as advance:
        snapshot_id = _frozen(round_, objective, sources, form)
        advance(examples_in(round_, snapshot_id))
    return snapshot_id


def examples_in(round_: Round[Any], snapshot_id: str) -> int:
    """How many examples a snapshot of the round holds."""
    where: Where = {"loop": round_.loop, "round": round_.number, "snapshot_id": snapshot_id}
    return int(read(round_.lake, "snapshots", where)["rows"][0])


@step_task
def _frozen(round_: Round[Any], objective: str, units: list[str], form: PromptForm | None) -> str:
    parameters = {"loop": round_.loop, "round": round_.number, "units": units}
    unit = round_.unit("freeze" if objective == "sft" else f"freeze-{objective}")
    asking = round_.recipe.prompts.asking
    if form is None and not asking.is_plain:
        form = PromptForm(asking.label, lambda rows: _with_prompts_put(round_, asking, rows))
    return freeze(round_.log, unit, objective, units, parameters, form)


def _with_prompts_put(round_: Round[Any], asking: Asking, examples: pl.DataFrame) -> pl.DataFrame:
    """Examples with prompts as the model is asked them; a demonstration of judging keeps its own."""
    judging = set(judging_prompts(round_.lake, round_.loop))
    pairs = zip(prompts_of(examples, "prompt"), examples["prompt_id"], strict=True)
    return with_prompts(examples, [one if name in judging else put(one, asking) for one, name in pairs])
