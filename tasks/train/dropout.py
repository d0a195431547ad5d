"""Dropout where it has no place: log-ratios to the base, the scores of a pair and a critic's values compare
passes that must drop nothing.

As TRL does by default for all three. Attention drops by numbers that its modules hold beside their dropout
layers; both are set to zero. The configuration, which the checkpoint keeps, is left as it was.
"""

from __future__ import annotations

from typing import Any

import torch


def without_dropout(model: Any) -> None:
    """Have a model drop nothing while it trains."""
    for module in model.modules():
        if isinstance(module, torch.nn.modules.dropout._DropoutNd):
            module.p = 0.0
        for name, value in vars(module).items():
            if "dropout" in name and isinstance(value, float):
                setattr(module, name, 0.0)
