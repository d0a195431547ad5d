"""Gradients by parameter, and whether two losses have the same."""

from __future__ import annotations

from typing import Any

import torch


def gradients(model: Any) -> dict[str, torch.Tensor]:
    """A copy of every parameter's gradient."""
    return {name: parameter.grad.clone() for name, parameter in model.named_parameters()}


def assert_same(left: dict[str, torch.Tensor], right: dict[str, torch.Tensor], atol: float = 1e-6) -> None:
    """Equal but for the order of sums in float32."""
    assert left.keys() == right.keys()
    for name, gradient in left.items():
        torch.testing.assert_close(gradient, right[name], rtol=1e-4, atol=atol, msg=name)
