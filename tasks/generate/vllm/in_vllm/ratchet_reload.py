"""Runs inside vLLM's workers, in vLLM's environment: new weights, all of them. Imports nothing of Ratchet.

vLLM 0.32's `reload_weights` forgets one thing on a CPU: an output head that is tied to the input embeddings
keeps its packed copy of the old ones. Everything else changes, so that what comes out looks plausible and is
wrong.
"""

from __future__ import annotations

from typing import Any


class Reload:
    """Mixed into vLLM's worker by `--worker-extension-cls`, and called through `/collective_rpc`."""

    def ratchet_reload(self: Any, path: str) -> None:
        """Load the safetensors of a folder in place of the weights that the worker has."""
        from vllm.platforms import current_platform

        self.reload_weights(weights_path=path)
        if current_platform.is_cpu():
            _pack_heads(self.get_model())


def _pack_heads(model: Any) -> None:
    from vllm.model_executor.layers.utils import dispatch_cpu_unquantized_gemm
    from vllm.model_executor.layers.vocab_parallel_embedding import ParallelLMHead

    for layer in model.modules():
        if isinstance(layer, ParallelLMHead) and hasattr(layer, "cpu_linear"):
            dispatch_cpu_unquantized_gemm(layer, remove_weight=False)
