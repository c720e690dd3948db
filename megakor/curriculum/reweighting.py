"""The topic mixture of Llama-3-SynE (Chen et al., arXiv 2407.18743): what the model learns least gets more.

After segment t, with p_i the validation perplexity of source i and r_i its share:

    delta_i = (p_i(t) - p_i(t - 1)) / max_j |p_j(t) - p_j(t - 1)|
    f_i     = 1 + alpha * delta_i * w_i
    r_i    <- r_i * f_i / sum_j(r_j * f_j)

The division by the largest change is how we normalise; and we keep each share between two multiples of where it began,
since a rule that multiplies has no other end.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import pairwise

from megakor.config.schema_controllers import ReweightingConfig


def reweighted(
    parts: Mapping[str, float],
    begins: Mapping[str, float],
    before: Mapping[str, float],
    now: Mapping[str, float],
    settings: ReweightingConfig,
) -> dict[str, float]:
    """The parts of all sources after one decision; like those before it they sum to 1.

    Args:
        parts: of each source, now.
        begins: those that the phase began with.
        before: validation losses at the last decision (nats per token), finite.
        now: those of this one.
    """
    changes = {name: math.exp(now[name]) - math.exp(before[name]) for name in parts}
    largest = max(abs(change) for change in changes.values())
    if largest == 0:
        return dict(parts)
    raised = {
        name: part * (1 + settings.strength * changes[name] / largest * settings.importance.get(name, 1.0))
        for name, part in parts.items()
    }
    bounds = {name: (share * settings.minimum, share * settings.maximum) for name, share in begins.items()}
    return scaled_inside(raised, bounds)


def scaled_inside(values: Mapping[str, float], bounds: Mapping[str, tuple[float, float]]) -> dict[str, float]:
    """clip(c * value) of each, for the c with which they sum to 1.

    Args:
        values: above 0.
        bounds: the lowest and the highest of each; the lowest sum to at most 1, the highest to at least 1.
    """

    def clipped(scale: float) -> dict[str, float]:
        return {name: min(max(scale * value, bounds[name][0]), bounds[name][1]) for name, value in values.items()}

    def total(scale: float) -> float:
        return math.fsum(clipped(scale).values())

    # The sum rises with c, along a straight line between two neighbours of these.
    edges = sorted({bound / values[name] for name in values for bound in bounds[name]})
    for low, high in pairwise(edges):
        if total(high) >= 1:
            below, above = total(low), total(high)
            return clipped(high if above == below else low + (high - low) * (1 - below) / (above - below))
    return clipped(edges[-1])
