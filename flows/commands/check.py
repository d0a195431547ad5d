"""`ratchet check`: is this a model that can be trained here, and what would a training see?"""

from __future__ import annotations

from pathlib import Path

import click

from flows.commands.options import (
    columns_option,
    eval_prompts_option,
    json_option,
    models_option,
    one_line_errors,
    print_json,
    trust_option,
    wide,
)


@click.command()
@click.argument("model", type=click.Path(path_type=Path), required=False)
@click.option(
    "--prompts",
    type=click.Path(path_type=Path),
    help="File or folder of prompts: shown are what a loop would take of it, and its first with a worked "
    "answer.  [default: a story of the tutor's]",
)
@eval_prompts_option
@columns_option
@click.option(
    "--chat-template-kwargs",
    "template_kwargs",
    metavar="JSON",
    help="Values for the chat template, as prompts.chat_template_kwargs: '{\"enable_thinking\": false}'.",
)
@click.option("--end-of-turn", metavar="TOKEN", help="The token that ends a turn, as prompts.end_of_turn.")
@click.option(
    "--constitution",
    metavar="NAME",
    help="A constitution's name (harmless, tutor) or YAML file: can the model be asked by it, how long?",
)
@models_option
@trust_option
@json_option
@one_line_errors
def check(
    model: Path | None,
    prompts: Path | None,
    eval_prompts: Path | None,
    columns: str | None,
    template_kwargs: str | None,
    end_of_turn: str | None,
    constitution: str | None,
    as_json: bool,
) -> None:
    """Prove the model in a folder, as a loop does before it opens, and show what a training would see.

    MODEL is a Hugging Face folder, the tutor unless given; an adapter's is merged into its base first. A
    recipe's name stands for the model that its loops begin from on the tutor, and for its constitution.
    Proved are: every tensor filled and used, what the engine draws against plain passes, the end that is
    taught against the end that is obeyed, prompts asked against prompts learned. Of prompts, what is read,
    refused and taken is counted. Shown is one example, token by token, and which of its tokens are taught.
    What fails is one line and exit code 2. Nothing is written.
    """
    from flows.commands.environment import prepare

    prepare()
    from flows.commands.choice import given_prompts, tutors_own
    from flows.opening.checking import checked
    from flows.pages.proof import proof_page
    from flows.writers.constitutions import chosen_constitution
    from tutor import BASE

    source = given_prompts(prompts, eval_prompts, columns, template_kwargs, end_of_turn)
    if model is not None and not model.exists() and (own := tutors_own(str(model))) is not None:
        model, constitution = own.base, constitution or own.constitution
    law = None if constitution is None else chosen_constitution(constitution)
    result = checked(model or BASE, source, law)
    if as_json:
        print_json(result.values)
    else:
        proof_page(wide(), result)
