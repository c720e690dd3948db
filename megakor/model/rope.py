"""Rotary position embeddings: inverse frequencies, with scaling, and the rotation itself on a CPU.

Shapes: S sequence, B batch, H heads, D head dimension.
"""

from __future__ import annotations

import math
from typing import Any

import torch

from megakor.config.schema import ModelConfig, RopeScalingConfig
from megakor.parallel.context import context_positions


def inverse_frequencies(model: ModelConfig, head_dimension: int) -> torch.Tensor:
    """[head_dimension / 2] float32: base^(-2i/d) (Su et al., arXiv 2104.09864, eq. 15), scaled if the config says
    so."""
    exponents = torch.arange(0, head_dimension, 2, dtype=torch.float32) / head_dimension
    frequencies = 1.0 / (model.rope_base**exponents)
    if model.rope_scaling is None:
        return frequencies
    if model.rope_scaling.type == "linear":
        return frequencies / model.rope_scaling.factor
    return _llama3(frequencies, model.rope_scaling)


def _llama3(frequencies: torch.Tensor, scaling: RopeScalingConfig) -> torch.Tensor:
    """Llama 3.1's rule: long waves are divided by the factor, short ones kept, the band between interpolated."""
    wavelengths = 2 * math.pi / frequencies
    low_wavelength = scaling.original_length / scaling.low_frequency_factor
    high_wavelength = scaling.original_length / scaling.high_frequency_factor
    blend = (scaling.original_length / wavelengths - scaling.low_frequency_factor) / (
        scaling.high_frequency_factor - scaling.low_frequency_factor
    )
    between = (1 - blend) * frequencies / scaling.factor + blend * frequencies
    scaled = torch.where(wavelengths > low_wavelength, frequencies / scaling.factor, between)
    return torch.where(wavelengths < high_wavelength, frequencies, scaled)


class Rotary:
    """Cosines and sines of this rank's positions, shared by all layers and kept for one length at a time.

    megatron-core's own path computes them in every layer, and turns queries and keys in nine passes over memory.
    """

    def __init__(self, inverse_frequencies: torch.Tensor) -> None:
        self._tables = (torch.empty(0), torch.empty(0))
        self.use(inverse_frequencies)

    def use(self, inverse_frequencies: torch.Tensor) -> None:
        """Turn by other frequencies from now on."""
        self._frequencies = inverse_frequencies
        self._key: tuple[int, int, int, torch.dtype] | None = None

    def tables(self, length: int, rank: int, size: int, dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor]:
        """Cosines [S, D] and sines [S, D / 2] for the S = length / size tokens of a context-parallel rank."""
        if self._key != (length, rank, size, dtype):
            angles = torch.outer(context_positions(length, rank, size).float(), self._frequencies)
            self._tables = (torch.cat([angles, angles], dim=-1).cos().to(dtype), angles.sin().to(dtype))
            self._key = (length, rank, size, dtype)
        return self._tables


def rotate(x_SBHD: torch.Tensor, cosines_SD: torch.Tensor, sines_SP: torch.Tensor) -> torch.Tensor:
    """Turn each head by its position (arXiv 2104.09864, halves paired as in Llama); returns [B, H, S, D], contiguous.

    P is the number of pairs, D / 2.
    """
    return _Rotate.apply(x_SBHD, cosines_SD, sines_SP)


class _Rotate(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x_SBHD: torch.Tensor, cosines_SD: torch.Tensor, sines_SP: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(cosines_SD, sines_SP)
        length, batch, heads, dimension = x_SBHD.shape
        rotated_BHSD = x_SBHD.new_empty(batch, heads, length, dimension)
        _rotate_into(rotated_BHSD, x_SBHD.permute(1, 2, 0, 3), cosines_SD, sines_SP, direction=1)
        return rotated_BHSD

    @staticmethod
    def backward(ctx: Any, grad_BHSD: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        cosines_SD, sines_SP = ctx.saved_tensors
        batch, heads, length, dimension = grad_BHSD.shape
        grad_SBHD = grad_BHSD.new_empty(length, batch, heads, dimension)
        _rotate_into(grad_SBHD.permute(1, 2, 0, 3), grad_BHSD, cosines_SD, sines_SP, direction=-1)
        return grad_SBHD, None, None


def _rotate_into(
    out: torch.Tensor, x: torch.Tensor, cosines_SD: torch.Tensor, sines_SP: torch.Tensor, direction: int
) -> None:
    """Turning backwards is the transpose of turning forwards, hence the gradient."""
    pairs = sines_SP.shape[-1]
    torch.mul(x, cosines_SD, out=out)
    out[..., :pairs].addcmul_(x[..., pairs:], sines_SP, value=-direction)
    out[..., pairs:].addcmul_(x[..., :pairs], sines_SP, value=direction)
