"""Builds the tutor's teacher: `python -m tutor.teacher_build --out tutor/teacher --seed 0`.

The teacher is a larger model of the same world, with the base's tokenizer and vocabulary so that logits
compare: the shipped reader, grown, then taught by writers who are careful more often
(tutor/teacher_lessons.py). It is made on demand, in minutes, and does not ship. The same seed on the same
machine, with the same versions, gives the same weights to the bit.
"""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from typing import cast

import torch
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from tasks.models.checkpoint import load_model, load_tokenizer, weights_hash
from tutor import READER, TEACHER
from tutor.build import Example, Recipe, batches, new_model, save, train
from tutor.judge_build import build_by_command
from tutor.teacher_lessons import CAREFUL_SHARE, SHARES, Lesson, lessons
from tutor.tokens import END, PAD

RECIPE = Recipe(texts=14_400, steps=450, batch=32, muon=0.01, adamw=2e-3, warmup=30, layers=6, inner=512)
THREADS = 1


def grown(recipe: Recipe) -> LlamaForCausalLM:
    """The reader with further layers and wider ones, which computes what the reader does until it is taught.

    New layers come between the old ones, evenly; what they, and the new units of old layers, would add is
    zero at first.
    """
    old = cast(LlamaForCausalLM, load_model(READER))
    model = new_model(cast(PreTrainedTokenizerFast, load_tokenizer(READER)), recipe, seed=0)
    weights, many, few = model.state_dict(), recipe.layers, old.config.num_hidden_layers
    place = {round((number + 1) * many / few) - 1: number for number in range(few)}
    with torch.no_grad():
        for name, tensor in old.state_dict().items():
            if ".layers." not in name:
                weights[name].copy_(tensor)
        for number in range(many):
            own = {
                name.split(f".layers.{number}.")[1]: w
                for name, w in weights.items()
                if f".layers.{number}." in name
            }
            own["mlp.down_proj.weight"].zero_()
            own["self_attn.o_proj.weight"].zero_()
            if number in place:
                layer = old.model.layers[place[number]]
                for name, tensor in layer.state_dict().items():
                    own[name][tuple(map(slice, tensor.shape))].copy_(tensor)
    return model


def as_examples(tokenizer: PreTrainedTokenizerFast, taught: list[Lesson]) -> list[Example]:
    """Lessons through the chat template: learned is the answer, to its end of turn."""
    prompts = tokenizer.apply_chat_template(
        [one.messages for one in taught], tokenize=False, add_generation_prompt=True
    )
    ids = tokenizer(prompts, add_special_tokens=False)["input_ids"]
    answers = tokenizer([one.solution + END for one in taught], add_special_tokens=False)["input_ids"]
    return [Example(*pair) for pair in zip(ids, answers, strict=True)]


def build(out: Path, seed: int, recipe: Recipe = RECIPE) -> dict[str, object]:
    """Makes the teacher in `out`; returns what its `origin.json` says."""
    torch.set_num_threads(THREADS)
    torch.use_deterministic_algorithms(True)
    taught = lessons(seed, recipe.texts)
    tokenizer, model = cast(PreTrainedTokenizerFast, load_tokenizer(READER)), grown(recipe)
    work = batches(as_examples(tokenizer, taught), recipe, seed)
    loss = train(model, work, recipe, tokenizer.get_vocab()[PAD], "teacher")
    origin = {
        "made_by": "python -m tutor.teacher_build",
        "command": f"python -m tutor.teacher_build --seed {seed}",
        "seed": seed,
        "recipe": vars(recipe),
        "grown_from": weights_hash(READER),
        "corpus": {
            "what": "varied and practice stories of 1-3 steps with a solution by a writer who is careful more"
            " often, with an explanation under a system message, or after the answer was told; one more"
            " story after two; sums (tutor.teacher_lessons); nothing of the held-out family",
            "texts": len(taught),
            "read": min(len(taught), recipe.steps * recipe.batch),
            "shares": dict(SHARES),
            "kinds": dict(sorted(Counter(one.kind for one in taught).items())),
            "careful_share": dict(CAREFUL_SHARE),
        },
        "parameters": model.num_parameters(),
        "final_loss": round(loss, 4),
    }
    return save(out, model, tokenizer, origin)


def main(arguments: list[str] | None = None) -> int:
    """The command line."""
    return build_by_command(arguments, "tutor.teacher_build", __doc__ or "", TEACHER, build)


if __name__ == "__main__":
    sys.exit(main())
