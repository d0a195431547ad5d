"""The policy-gradient loss: by hand, as TRL's GRPO and RLOO have it, and that it learns what is rewarded."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch
from accelerate import Accelerator
from transformers.modeling_outputs import CausalLMOutput

from schemas.errors import TrainingFailed
from schemas.job import Hyperparameters, Policy, TrainingJob
from tasks.models.checkpoint import load_model, load_tokenizer, weights_hash
from tasks.models.rendering import prompt_ids
from tasks.reward.advantages import group_advantages
from tasks.train.base_logprobs import with_base_logprobs
from tasks.train.batches import collate
from tasks.train.loop import train
from tasks.train.objectives.objective import BASE_LOGPROBS, IGNORED, Encoded, Loss
from tasks.train.objectives.policy import clipped, kl, policy
from tasks.train.objectives.sft import SFT
from tests.train.conftest import told
from tests.train.gradients import assert_same, gradients

MakeJob = Callable[..., TrainingJob]
CPU = torch.device("cpu")
EVERYTHING = Policy(
    normalisation="sequence",
    proximal="start",
    dual_clip=3.0,
    kl_weight=0.1,
    entropy_weight=0.01,
    imitation_weight=0.2,
)


def moved(base: Path) -> Any:
    """The base, some way on."""
    model = load_model(base).train()
    torch.manual_seed(3)
    for parameter in model.parameters():
        parameter.data += 0.05 * torch.randn_like(parameter)
    return model


def encoded(base: Path, rows: pl.DataFrame, settings: Policy, size: int = 5) -> list[Encoded]:
    objective = policy(settings)
    plain = objective.encode(load_tokenizer(base), rows)
    return with_base_logprobs(objective, Accelerator(cpu=True), load_model(base), plain, size)


def ours(base: Path, rows: pl.DataFrame, settings: Policy) -> tuple[float, dict[str, torch.Tensor], Loss]:
    """The mean loss of one step over all rows, with its gradient."""
    model, objective, examples = moved(base), policy(settings), encoded(base, rows, settings)
    loss = objective.loss(model, collate(examples, objective.padding, CPU))
    counts = {part: sum(one.counts[part] for one in examples) for part in loss.parts}
    whole = sum(total / counts[part] for part, total in loss.parts.items())
    whole.backward()
    return whole.item(), gradients(model), loss


def test_the_clipped_term_by_hand() -> None:
    ratio = torch.tensor([0.5, 0.5, 1.1, 1.5, 1.5, 9.0])
    advantages = torch.tensor([1.0, -1.0, 2.0, 1.0, -1.0, -1.0])
    settings = Policy(clip_low=0.2, clip_high=0.28)
    assert clipped(ratio, advantages, settings).tolist() == pytest.approx([-0.5, 0.8, -2.2, -1.28, 1.5, 9.0])
    held = clipped(ratio, advantages, settings.model_copy(update={"dual_clip": 3.0}))
    assert held.tolist() == pytest.approx([-0.5, 0.8, -2.2, -1.28, 1.5, 3.0])


def test_kl_estimates_by_hand_and_the_gradient_that_is_the_divergences() -> None:
    log_ratio = torch.tensor([0.0, 0.5, -1.0])
    assert kl(log_ratio, "k1").tolist() == pytest.approx([0.0, 0.5, -1.0])
    assert kl(log_ratio, "k2").tolist() == pytest.approx([0.0, 0.125, 0.5])
    assert kl(log_ratio, "k3").tolist() == pytest.approx([0.0, math.exp(-0.5) - 0.5, math.e - 2])
    logits, reference = (
        torch.tensor([0.3, -0.2, 1.0], requires_grad=True),
        torch.tensor([0.4, 0.4, 0.2]).log(),
    )
    logprobs = logits.log_softmax(0)
    exact = (logprobs.exp() * (logprobs - reference)).sum()
    (right,) = torch.autograd.grad(exact, logits, retain_graph=True)
    # Over answers drawn by the policy, whose own probabilities are not differentiated.
    drawn = logprobs.detach().exp()
    for estimator in ("k2", "weighted"):
        ratio = logprobs.exp() / drawn
        expected = (drawn * kl(logprobs - reference, estimator, ratio)).sum()
        (gradient,) = torch.autograd.grad(expected, logits, retain_graph=True)
        assert gradient.tolist() == pytest.approx(right.tolist(), abs=1e-6)
    for estimator in ("k1", "k3"):
        value = (drawn * kl(logprobs - reference, estimator)).sum()
        assert value.item() == pytest.approx(exact.item(), abs=1e-6)


@pytest.mark.parametrize("how", [{"proximal": "start"}, {"ratio": "sequence"}], ids=str)
def test_a_weighted_kl_has_the_divergences_gradient_whoever_drew_the_tokens(how: dict[str, str]) -> None:
    """Ten tokens, each as often as the sampler's (0.7, 0.2, 0.1) has it; the policy has moved nowhere yet."""
    sampler, now, reference = (
        torch.tensor(one) for one in ([0.7, 0.2, 0.1], [0.4, 0.4, 0.2], [0.2, 0.5, 0.3])
    )
    logits = now.log().requires_grad_()
    tokens = torch.tensor([[0] + [0] * 7 + [1] * 2 + [2]])
    labels = tokens.clone()
    labels[0, 0] = IGNORED
    batch = {"input_ids": tokens, "labels": labels, BASE_LOGPROBS: now.log()[tokens]}
    batch |= {"behaviour_logprobs": sampler.log()[tokens], "reference_logprobs": reference.log()[tokens]}
    batch |= {"advantages": torch.zeros(1, 11), "weights": torch.ones(1, 11)}
    batch |= {name: torch.ones(1, 1) for name in ("temperature", "referred", "passed")}

    def model(input_ids: torch.Tensor, **_: Any) -> Any:
        return CausalLMOutput(logits=logits.expand(*input_ids.shape, 3))

    settings = Policy(kl_weight=1.0, kl_estimator="weighted", **how)
    (policy(settings).loss(model, batch).streams["reference_kl_loss"] / 10).backward()
    assert logits.grad is not None
    assert logits.grad.tolist() == pytest.approx([0.2345, -0.1320, -0.1025], abs=1e-4)


TRL = {
    "dapo": ({}, {"loss_type": "dapo"}),
    "grpo": (
        {"normalisation": "sequence", "clip_high": 0.2, "kl_weight": 0.3, "kl_estimator": "k3"},
        {"loss_type": "grpo", "epsilon_high": 0.2, "beta": 0.3, "use_bias_correction_kl": False},
    ),
    "weighted KL": (
        {"kl_weight": 0.3, "kl_estimator": "weighted"},
        {"loss_type": "dapo", "beta": 0.3, "use_bias_correction_kl": True},
    ),
    "dr_grpo": ({"normalisation": "constant", "constant_length": 64}, {"loss_type": "dr_grpo"}),
    "gspo": (
        {"normalisation": "sequence", "ratio": "sequence", "clip_low": 0.003, "clip_high": 0.004},
        {
            "loss_type": "grpo",
            "importance_sampling_level": "sequence",
            "epsilon": 0.003,
            "epsilon_high": 0.004,
        },
    ),
    "dual clip": ({"dual_clip": 1.4}, {"loss_type": "dapo", "delta": 1.4}),
    "warm": ({}, {"loss_type": "dapo", "temperature": 0.7}),
}


def trl_batch(examples: list[Encoded]) -> dict[str, torch.Tensor]:
    """Our examples as TRL's trainer has them: prompts padded on the left, answers on the right."""
    prompts, answers, numbers = [], [], []
    for one in examples:
        labels = one.tensors["labels"].long()
        start = int((labels != -100).nonzero()[0])
        prompts.append(one.tensors["input_ids"].long()[:start])
        answers.append(labels[start:])
        names = ("behaviour_logprobs", "reference_logprobs", "advantages")
        numbers.append([one.tensors[name][start:] for name in names])
    left = max(map(len, prompts))

    def padded(rows: list[torch.Tensor]) -> torch.Tensor:
        return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)

    ids = [torch.cat([row.new_zeros(left - len(row)), row]) for row in prompts]
    return {
        "prompt_ids": torch.stack(ids),
        "prompt_mask": torch.stack([(torch.arange(left) >= left - len(row)).long() for row in prompts]),
        "completion_ids": padded(answers),
        "completion_mask": padded([torch.ones_like(row) for row in answers]),
        "old_per_token_logps": padded([row[0] for row in numbers]),
        "ref_per_token_logps": padded([row[1] for row in numbers]),
        "advantages": padded([row[2] for row in numbers]),
        "num_items_in_batch": torch.tensor(float(sum(map(len, answers)))),
    }


def trl_trainer(kind: str, model: Any, base: Path, folder: Path, **settings: Any) -> Any:
    import trl
    from datasets import Dataset

    common: dict[str, Any] = {"use_cpu": True, "bf16": False, "report_to": "none", "num_generations": 2}
    common |= {"gradient_checkpointing": False, "per_device_train_batch_size": 2, "max_completion_length": 64}
    trainer = getattr(trl, f"{kind}Trainer")(
        model=model,
        reward_funcs=lambda completions, **_: [0.0] * len(completions),
        args=getattr(trl, f"{kind}Config")(output_dir=str(folder), **common | settings),
        train_dataset=Dataset.from_list([{"prompt": "one"}] * 4),
        processing_class=load_tokenizer(base),
    )
    trainer.current_gradient_accumulation_steps = 1
    return trainer


@pytest.mark.parametrize("name", TRL)
def test_loss_and_gradient_equal_trls_grpo(
    name: str, base: Path, rollouts: pl.DataFrame, tmp_path: Path
) -> None:
    own, theirs = TRL[name]
    defaults = {"beta": 0.0, "temperature": 1.0, "epsilon": 0.2, "epsilon_high": 0.28}
    settings = {**defaults, **theirs}
    rows = rollouts.with_columns(temperature=pl.lit(settings["temperature"]))
    model = moved(base)
    trainer = trl_trainer("GRPO", model, base, tmp_path, steps_per_generation=1, **settings)
    loss = trainer._compute_loss(model, trl_batch(encoded(base, rows, Policy())))
    loss.backward()
    value, gradient, parts = ours(base, rows, Policy(**own))
    assert value == pytest.approx(loss.item(), rel=1e-5)
    assert_same(gradient, gradients(model))
    told = {key: values[0] for key, values in trainer._metrics["train"].items()}
    means = {key: (mean.total / mean.over).item() for key, mean in parts.metrics.items()}
    assert means["clip_share"] == pytest.approx(told["clip_ratio/region_mean"], abs=1e-6)
    assert means["clip_share"] > 0
    assert means["entropy"] == pytest.approx(told["entropy"], rel=1e-5)


def test_on_policy_the_gradient_is_that_of_trls_rloo(
    base: Path, rollouts: pl.DataFrame, tmp_path: Path
) -> None:
    """Its ratio is the whole answer's: at a ratio of 1 that is the sum of the tokens' log-ratios."""
    each = pl.lit([0.7, -1.0, 0.3, -0.2] * 6).list.get(pl.int_range(pl.len()))
    lists = each.repeat_by(pl.col("token_ids").list.len())
    rows = rollouts.with_columns(temperature=pl.lit(1.0), advantages=lists)
    model = moved(base)
    trainer = trl_trainer("RLOO", model, base, tmp_path, beta=0.0, temperature=1.0)
    batch = trl_batch(encoded(base, rows, Policy()))
    batch["advantages"] = batch["advantages"][:, 0]
    with torch.no_grad():
        drawn = policy(Policy(proximal="start")).base_logprobs
        assert drawn is not None
        examples = encoded(base, rows, Policy())
        padded = collate(examples, policy(Policy()).padding, CPU)
        now = drawn(model, padded)
    batch["old_logps"] = now.sum(dim=1)
    trainer._compute_loss(model, batch).backward()
    behaviour = [now[i][padded["labels"][i] != -100].tolist() for i in range(rows.height)]
    on_policy = rows.with_columns(pl.Series("behaviour_logprobs", behaviour))
    _, gradient, _ = ours(base, on_policy, Policy(normalisation="constant", constant_length=1))
    assert_same(gradient, gradients(model), atol=2e-5)


def test_each_stream_is_a_mean_over_tokens_of_its_own(base: Path, rollouts: pl.DataFrame) -> None:
    value, _, loss = ours(base, rollouts, Policy(imitation_weight=0.2, entropy_weight=0.1))
    plain, _, alone = ours(base, rollouts, Policy())
    good = rollouts.filter("passed").with_columns(temperature=pl.lit(1.0))
    settings = Policy(imitation_weight=0.2)
    model, taught = moved(base), SFT.encode(load_tokenizer(base), good)
    cross_entropy = SFT.loss(model, collate(taught, SFT.padding, CPU)).total / sum(e.units for e in taught)
    apart, _, _ = ours(base, good, settings)
    without, _, _ = ours(base, good, Policy())
    assert apart - without == pytest.approx(0.2 * cross_entropy.item(), rel=1e-5)
    assert loss.total.item() == pytest.approx(alone.total.item())
    entropy = loss.metrics["entropy"]
    assert set(loss.streams) == {"entropy_loss", "imitation_loss"}
    assert loss.streams["entropy_loss"].item() == pytest.approx(-0.1 * entropy.total.item(), rel=1e-5)
    passed = sum(len(ids) for ids in rollouts.filter("passed")["token_ids"])
    imitation = loss.streams["imitation_loss"].item() / passed
    assert value == pytest.approx(plain - 0.1 * (entropy.total / entropy.over).item() + imitation, rel=1e-5)


def test_the_sampler_is_made_up_for_by_weights_that_are_cut(base: Path, rollouts: pl.DataFrame) -> None:
    objective, settings = policy(Policy(proximal="start")), Policy(proximal="start", truncation=1.05)
    assert objective.base_logprobs is not None
    examples = encoded(base, rollouts, settings)
    batch = collate(examples, objective.padding, CPU)
    start = objective.base_logprobs(load_model(base), batch)
    at = batch["labels"] != -100
    weights = (start - batch["behaviour_logprobs"])[at].exp().clamp(max=1.05)
    assert (weights == 1.05).any()
    assert (weights < 1.05).any()
    loss = policy(settings).loss(load_model(base), batch)  # nothing was learned yet: every ratio is 1
    assert loss.total.item() == pytest.approx(-(weights * batch["advantages"][at]).sum().item(), rel=1e-4)
    assert loss.metrics["ratio"].total.item() == pytest.approx(at.sum().item(), rel=1e-5)


def test_a_step_is_the_same_however_it_is_cut(make_job: MakeJob, rollouts: pl.DataFrame) -> None:
    hyper = {
        "objective": "policy",
        "rows": rollouts,
        "policy": EVERYTHING,
        "epochs": 1,
        "learning_rate": 1e-3,
    }
    ledgers = [
        told(train(make_job(name, micro_batch_size=size, **hyper)))
        for name, size in {"whole": None, "one": 1, "three": 3}.items()
    ]
    for other in ledgers[1:]:
        for column in set(other.columns) - {"example_ids"}:
            left, right = ledgers[0][column].to_list(), other[column].to_list()
            assert left == pytest.approx(right, rel=1e-3, abs=1e-5), column


def test_a_killed_training_resumes_to_the_same_bit(
    make_job: MakeJob, in_another_process: Callable[..., int], rollouts: pl.DataFrame
) -> None:
    hyper = {"objective": "policy", "rows": rollouts, "policy": EVERYTHING, "save_every": 2}
    undisturbed = train(make_job("whole", **hyper))
    job = make_job("killed", **hyper)
    assert in_another_process(job, "train: step done#4") == -9
    resumed = train(job)
    assert resumed.weights_hash == undisturbed.weights_hash
    assert told(resumed).equals(told(undisturbed))


@pytest.mark.parametrize(
    ("column", "value", "line"),
    [
        ("advantages", [0.5], "example ex-00 has 1 advantages for"),
        ("behaviour_logprobs", [], "has 0 behaviour_logprobs for"),
        ("reference_logprobs", [math.nan] * 9, "reference_logprobs that are no finite numbers"),
        ("token_ids", [-1] * 9, "no token ids that a model can read"),
        ("temperature", 0.0, "was drawn at temperature 0.0"),
    ],
)
def test_numbers_that_belong_to_other_tokens_are_refused(
    make_job: MakeJob, rollouts: pl.DataFrame, column: str, value: Any, line: str
) -> None:
    short = rollouts.head(1).with_columns(
        pl.col("token_ids", "behaviour_logprobs", "reference_logprobs", "advantages").list.head(9)
    )
    rows = short.with_columns(pl.Series(column, [value], dtype=rollouts.schema[column]))
    with pytest.raises(TrainingFailed, match=line) as refused:
        train(make_job(objective="policy", rows=rows))
    assert "\n" not in str(refused.value)


def test_a_reward_that_never_differs_changes_no_weight(
    make_job: MakeJob, rollouts: pl.DataFrame, base: Path
) -> None:
    nothing = pl.lit(0.0).repeat_by(pl.col("token_ids").list.len())
    rows = rollouts.with_columns(advantages=nothing)
    result = train(make_job(objective="policy", rows=rows, weight_decay=0.0))
    assert result.weights_hash == weights_hash(base)


def drawn(
    model: Any, prompt: torch.Tensor, count: int, length: int, generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """`count` answers of `length` tokens with their log-probabilities."""
    ids, logprobs = prompt.expand(count, -1), []
    with torch.no_grad():
        for _ in range(length):
            whole = model(input_ids=ids).logits[:, -1].log_softmax(-1)
            token = torch.multinomial(whole.exp(), 1, generator=generator)
            logprobs.append(whole.gather(1, token))
            ids = torch.cat([ids, token], dim=1)
    return ids[:, prompt.shape[1] :], torch.cat(logprobs, dim=1)


@pytest.mark.parametrize(
    ("length", "is_right"),
    [(1, lambda ids: ids[:, 0] % 4 == 1), (2, lambda ids: (ids[:, 0] % 2 == 1) & (ids[:, 1] % 2 == 0))],
    ids=["bandit", "two tokens"],
)
def test_what_is_rewarded_is_learned(
    base: Path, length: int, is_right: Callable[[torch.Tensor], torch.Tensor]
) -> None:
    """A quarter of the answers are right at first; of two tokens each is rewarded for both."""
    model, tokenizer, objective = load_model(base), load_tokenizer(base), policy(Policy())
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    generator = torch.Generator().manual_seed(0)
    prompt = torch.tensor([prompt_ids(tokenizer, "go")])
    shares = []
    for _ in range(30):
        ids, logprobs = drawn(model, prompt, 64, length, generator)
        rewards = is_right(ids).double().tolist()
        shares.append(sum(rewards) / len(rewards))
        rows = pl.DataFrame(
            {
                "example_id": [f"ex-{i}" for i in range(len(ids))],
                "prompt": ["go"] * len(ids),
                "token_ids": ids.tolist(),
                "behaviour_logprobs": logprobs.tolist(),
                "advantages": [[a] * length for a in group_advantages(rewards, ["go"] * len(ids))],
                "temperature": [1.0] * len(ids),
            }
        )
        batch = objective.encode(tokenizer, rows)
        for _ in range(2):
            loss = objective.loss(model, collate(batch, objective.padding, CPU))
            (loss.total / sum(one.units for one in batch)).backward()
            optimizer.step()
            optimizer.zero_grad()
    assert shares[0] < 0.45
    assert sum(shares[-3:]) / 3 > 0.9


def test_hyperparameters_without_policy_read_and_hash_as_before_there_was_any() -> None:
    assert "policy" not in Hyperparameters().model_dump_json()
    hyper = Hyperparameters(policy=Policy())
    assert Hyperparameters.model_validate_json(hyper.model_dump_json()) == hyper
