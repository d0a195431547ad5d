"""Promises of the draw: the model's distribution, its nucleus, a number from seed and step alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from schemas.recipes.shared import Sampling
from tasks.generate.embedded.draw import draw_tokens, uniforms
from tasks.generate.embedded.embedded import EmbeddedEngine
from tasks.models.checkpoint import load_model
from tasks.models.rendering import prompt_ids
from tutor import BASE

CHI_SQUARE_999 = {7: 24.32, 9: 27.88}
"""The 99.9% quantile of the chi-square distribution, by degrees of freedom (any statistics table)."""


def test_numbers_are_splitmix64() -> None:
    """The first three outputs of the published generator from state 0."""
    expected = [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F]
    assert uniforms([0], 3)[:, 0].tolist() == [(value >> 41) / 2**23 for value in expected]


def test_a_number_depends_on_its_seed_and_step_alone() -> None:
    many = uniforms(range(100), 50)
    assert np.array_equal(uniforms([42], 50)[:, 0], many[:, 42])
    assert np.array_equal(uniforms(range(100), 10), many[:10])
    assert np.array_equal(uniforms([-1, 2**64 + 3], 5), uniforms([2**64 - 1, 3], 5))


@pytest.mark.parametrize("axis", ["seeds", "steps"])
def test_numbers_are_uniform_and_independent_of_their_neighbours(axis: str) -> None:
    numbers = uniforms(range(400), 400) if axis == "seeds" else uniforms(range(400), 400).T
    assert 0.0 <= numbers.min() <= numbers.max() < 1.0
    counts = np.bincount((numbers * 10).astype(int).ravel(), minlength=10)
    assert ((counts - 16_000) ** 2 / 16_000).sum() < CHI_SQUARE_999[9]
    assert abs(np.corrcoef(numbers[:, :-1].ravel(), numbers[:, 1:].ravel())[0, 1]) < 0.01


@pytest.mark.parametrize(("temperature", "top_p"), [(1.0, 1.0), (0.5, 1.0), (2.0, 1.0), (1.0, 0.75)])
def test_frequencies_are_the_tempered_softmax(temperature: float, top_p: float) -> None:
    logits = torch.tensor([1.0, 0.2, -0.5, 2.0, 0.9, -1.0, 0.0, 1.5])
    expected = torch.softmax(logits / temperature, -1)
    ordered, places = expected.sort(descending=True)
    nucleus = places[(ordered.cumsum(-1) - ordered) < top_p]
    inside = torch.zeros(8, dtype=torch.bool)
    inside[nucleus] = True
    expected = torch.where(inside, expected, 0) / expected[inside].sum()
    count = 40_000
    chance = torch.from_numpy(uniforms(range(count), 1)[0])
    draw = draw_tokens(logits.expand(count, -1), chance, temperature, top_p)
    seen = torch.bincount(draw.tokens, minlength=8).double()
    assert seen[~inside].sum() == 0
    target = expected[inside].double() * count
    assert ((seen[inside] - target) ** 2 / target).sum() < CHI_SQUARE_999[7]
    assert torch.allclose(draw.logprobs, torch.log_softmax(logits, -1)[draw.tokens])


def test_a_token_of_no_probability_is_never_drawn() -> None:
    logits = torch.tensor([-torch.inf, 0.0, -torch.inf, 0.0, -torch.inf])
    edges = torch.tensor([0.0, 1 - 2**-23, 0.5, 0.5 - 2**-23])
    tokens = draw_tokens(logits.expand(4, -1), edges, 1.0, 1.0).tokens
    assert set(tokens.tolist()) <= {1, 3}


def test_a_wide_nucleus_is_found_as_a_narrow_one() -> None:
    """Over 1,000 tokens of about one chance, half of the mass is half of the tokens."""
    logits = torch.linspace(0, 0.5, 1000).expand(3000, -1)
    tokens = draw_tokens(logits, torch.from_numpy(uniforms(range(3000), 1)[0]), 1.0, 0.5).tokens
    probabilities = torch.softmax(logits[0], -1).flip(0)
    size = int((probabilities.cumsum(-1) - probabilities < 0.5).sum())
    assert tokens.min() >= 1000 - size
    assert len(set(tokens.tolist())) > 0.9 * size


def test_temperature_zero_takes_the_likeliest() -> None:
    draw = draw_tokens(torch.tensor([[0.0, 3.0, 1.0]]), torch.tensor([0.99]), 0.0, 1.0)
    assert draw.tokens.tolist() == [1]
    assert draw.logprobs.item() == pytest.approx(
        torch.log_softmax(torch.tensor([0.0, 3.0, 1.0]), -1)[1].item()
    )


@pytest.mark.parametrize(
    ("temperature", "top_p"), [(0.0, 1.0), (1.0, 1.0), (0.6, 1.0), (1.0, 0.8), (1.7, 0.5)]
)
def test_what_noise_could_change_is_called_unsure_and_little_else(temperature: float, top_p: float) -> None:
    count, noise, source = 4000, 1e-3, torch.Generator().manual_seed(1)
    logits = torch.randn(count, 90, generator=source) * 3.0
    chance = torch.from_numpy(uniforms(range(count), 1)[0])
    draw = draw_tokens(logits, chance, temperature, top_p, noise)
    changed = torch.zeros(count, dtype=torch.bool)
    for _ in range(200):
        far = (torch.rand(logits.shape, generator=source) * 2.0 - 1.0) * noise
        changed |= draw_tokens(logits + far, chance, temperature, top_p).tokens != draw.tokens
    assert changed.any()
    assert not (changed & ~draw.unsure).any()
    assert draw.unsure.float().mean() < 0.05
    assert not draw_tokens(logits, chance, temperature, top_p).unsure.any()


def test_equals_at_the_edge_of_a_nucleus_are_unsure_together() -> None:
    """Noise in one logit lets 1,900 equal tokens into the nucleus at once, or leaves them out."""
    count, noise = 4000, 2e-4
    rare = torch.full((1900,), 0.2 / 1900)
    logits = torch.cat([torch.tensor([0.797, 0.003]), rare]).log().expand(count, -1)
    chance = torch.from_numpy(uniforms(range(count), 1)[0])
    draw = draw_tokens(logits, chance, 1.0, 0.8, noise)
    for sign in (-1.0, 1.0):
        near = logits.clone()
        near[:, 0] += sign * 0.95 * noise
        changed = draw_tokens(near, chance, 1.0, 0.8).tokens != draw.tokens
        assert not (changed & ~draw.unsure).any()


def test_first_tokens_follow_the_models_own_softmax(tutor: EmbeddedEngine, questions: list[str]) -> None:
    count = 4000
    one = Sampling(samples=count, temperature=1.0, max_tokens=1)
    model: Any = load_model(BASE)

    def expectation(prompt: str) -> torch.Tensor:
        with torch.no_grad():
            logits = model(torch.tensor([prompt_ids(tutor.tokenizer, prompt)])).logits[0, -1]
        return torch.softmax(logits, -1).double() * count

    prompt = max(questions, key=lambda question: int((expectation(question) >= 5).sum()))
    expected = expectation(prompt)
    tokens = torch.tensor([sample.token_ids[0] for sample in tutor.generate([prompt], one, [0])[0]])
    seen = torch.bincount(tokens, minlength=len(expected)).double()
    common = expected >= 5
    assert common.sum() > 3
    spread = ((seen - expected)[common] / expected[common].sqrt()).abs()
    assert float(spread.max()) < 5  # in standard deviations
    assert (
        abs(float(seen[~common].sum() - expected[~common].sum()))
        < 5 * float(expected[~common].sum()) ** 0.5 + 5
    )
