"""`ratchet run`: improvement rounds."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import get_args

import click
from rich.console import Console

from flows.commands.options import (
    columns_option,
    eval_prompts_option,
    json_option,
    lake_option,
    models_option,
    one_line_errors,
    print_json,
    progress_on,
    trust_option,
    wide,
)
from schemas.errors import EndpointError, NightStopped, RecipeError
from schemas.recipes.shared import ModelFiles


@click.command()
@click.argument("recipe")
@click.option(
    "--rounds",
    type=click.IntRange(min=1),
    help="Rounds of this night.  [default: what an interrupted night lacks, else 1]",
)
@click.option(
    "--loop", default="night", show_default=True, help="Name of the loop; a new name begins a new one."
)
@click.option(
    "--model",
    type=click.Path(path_type=Path),
    help="Hugging Face folder of a causal LM to begin from.  [default: the tutor]",
)
@click.option(
    "--prompts",
    type=click.Path(path_type=Path),
    help="File or folder of questions or conversations: JSONL such as GSM8K's own, JSON, CSV, TSV, Parquet, "
    "Arrow, what `datasets` saved.  [default: the tutor's stories]",
)
@eval_prompts_option
@columns_option
@click.option(
    "--endpoint",
    metavar="URL",
    help="OpenAI-compatible API whose model writes the answers, with the key in RATCHET_API_KEY.",
)
@click.option("--endpoint-model", metavar="NAME", help="The model's name there.")
@click.option(
    "--engine",
    type=click.Choice(["embedded", "vllm"]),
    help="What runs the loop's own checkpoints; `make vllm` installs vLLM.  [default: the recipe's]",
)
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="KEY=VALUE",
    help="One recipe value, such as sampling.samples=8; may be repeated.",
)
@click.option(
    "--model-files",
    type=click.Choice(get_args(ModelFiles)),
    help="Copy base, judges and writers into the lake, or refer to them by hash.  [default: copy]",
)
@models_option
@trust_option
@lake_option
@json_option
@one_line_errors
def run(
    recipe: str,
    rounds: int | None,
    loop: str,
    model: Path | None,
    prompts: Path | None,
    eval_prompts: Path | None,
    columns: str | None,
    endpoint: str | None,
    endpoint_model: str | None,
    engine: str | None,
    settings: tuple[str, ...],
    model_files: str | None,
    lake: str,
    as_json: bool,
) -> None:
    """Run improvement rounds by RECIPE: a recipe's name (rft) or a YAML file of its values.

    A night that was interrupted goes on where it was. A loop keeps the recipe of its last round unless
    RECIPE is a file or --set changes it.
    """
    from flows.commands.environment import prepare

    prepare()
    from flows.commands.choice import chosen_recipe

    if engine is not None and (endpoint is not None or endpoint_model is not None):
        raise RecipeError("--engine and --endpoint name two engines: give one of them")
    chosen = chosen_recipe(
        recipe, lake, loop, model, prompts, eval_prompts, settings, endpoint, endpoint_model, engine, columns
    )
    if model_files is not None:
        chosen = chosen.model_copy(update={"model_files": model_files})
    from flows.commands.prefect_server import prefect_server

    console = Console(stderr=True, emoji=False)
    with ExitStack() as stack:
        ready = stack.enter_context(prefect_server())
        from flows.nightly import check, night  # loads torch, while the server starts
        from flows.pages.status import status
        from warehouse.lake import Lake

        stack.enter_context(progress_on(console))
        check(chosen, loop, lake, str(model) if model else None, keep=True)  # before anything is written
        ready()
        stopped: NightStopped | None = None
        try:
            rounds_done = night(chosen, loop, rounds, lake, str(model) if model else None)
        except NightStopped as error:
            rounds_done, stopped = status(Lake(lake), loop), error
        except EndpointError as error:
            raise EndpointError(
                f"{error}; the round is open, what was answered is kept: the same command goes on"
            ) from None
    if as_json:
        print_json(rounds_done)
    else:
        from flows.pages.show import night_table

        night_table(wide(), rounds_done, lake)
    if stopped is None and rounds_done[-1]["verdict"] == "stopped":
        last = rounds_done[-1]
        stopped = NightStopped(f"round {last['round']} stopped the night: {last['reason']}")
    if stopped is not None:
        raise stopped
