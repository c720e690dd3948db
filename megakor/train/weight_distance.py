"""How far the weights have moved from those that the run began with: by layer, and in all.

Guo et al., arXiv 2406.14833: early in continued pretraining the lower layers move much more than the upper ones, which
goes together with the stability gap. arXiv 2506.00288: without replay the weights go an order of magnitude further,
while losses look alike.

Every weight counts once: ranks that share tensors by data or context parallelism each keep and compare a part of them,
of what tensor-parallel ranks hold alike the first rank counts, and of tied embeddings the first stage's.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.distributed as dist

from megakor.model.canonical import Piece, canonical_pieces
from megakor.parallel.topology import Topology
from megakor.report.measures import WeightsRecord
from megakor.train.engine import Engine

MOST_EDGE_LAYERS = 5
"""As many at the bottom and at the top as in the paper; fewer where layers are fewer than twice that."""


@dataclass(frozen=True)
class _Kept:
    """A parameter with this rank's part of its first values."""

    parameter: torch.nn.Parameter
    layer: int | None
    """Of a matrix of a transformer layer; norms, embedding and output layer have none."""
    first: torch.Tensor
    """Flat, on the host; bf16 where that is exact."""


class WeightDistance:
    """Remembers the weights of an engine as they are at one time, and measures how far they have gone since.

    When it is made it remembers those that the engine has then: initial weights are the same in every attempt and
    layout, so they need no place on the disk.
    """

    def __init__(self, engine: Engine, layers: int) -> None:
        self._engine = engine
        self._layers = layers
        self._kept: list[_Kept] = []
        self.remember()

    def remember(self) -> None:
        """Measure from the present weights on."""
        self._kept = [
            _Kept(parameter, layer, _exact_copy(_own_part(parameter, self._engine.topology)))
            for parameter, layer in _counted(self._engine)
        ]

    def measure(self, step: int, tokens: int) -> WeightsRecord:
        """The same on every rank. Collective."""
        moved = torch.zeros(self._layers, dtype=torch.float64)
        sizes = torch.zeros(self._layers, dtype=torch.float64)
        total = torch.zeros(1, dtype=torch.float64)
        for kept in self._kept:
            part = _own_part(kept.parameter, self._engine.topology)
            first = kept.first.to(part.device, torch.float32)
            difference = _square(part.float() - first)
            total += difference
            if kept.layer is not None:
                moved[kept.layer] += difference
                sizes[kept.layer] += _square(first)
        sums = torch.cat([moved, sizes, total]).to(self._engine.device.torch)
        dist.all_reduce(sums)
        moved, sizes, total = sums.cpu().split([self._layers, self._layers, 1])
        edge = min(MOST_EDGE_LAYERS, max(1, self._layers // 2))
        return WeightsRecord(step, tokens, (moved / sizes).sqrt().tolist(), edge, float(total.sqrt()))


def _counted(engine: Engine) -> Iterator[tuple[torch.nn.Parameter, int | None]]:
    """The parameters that this rank counts, with their layers."""
    topology = engine.topology
    for chunk in engine.bare_chunks:
        for parameter, pieces in canonical_pieces(chunk, topology.tensor_rank, topology.tensor_size):
            whole = pieces[0].local_shape == pieces[0].shape
            tied_copy = pieces[0].name == "embedding" and topology.pipeline_rank > 0
            if not tied_copy and (topology.tensor_rank == 0 or not whole):
                assert isinstance(parameter, torch.nn.Parameter)
                yield parameter, _layer(pieces[0])


def _layer(piece: Piece) -> int | None:
    place, _, rest = piece.name.partition(".")
    return int(rest.partition(".")[0]) if place == "layers" and len(piece.shape) == 2 else None


def _own_part(parameter: torch.nn.Parameter, topology: Topology) -> torch.Tensor:
    """What this rank counts of a parameter, flat: its part of the float32 main copy where there is one, as the
    optimizer has divided it; else an equal part."""
    main = getattr(parameter, "main_param", None)
    if parameter.dtype != torch.float32 and getattr(parameter, "main_param_sharded", False):
        return parameter.detach().new_empty(0) if main is None else main.detach().view(-1)
    values = (parameter if main is None else main).detach().view(-1)
    size = topology.data_size * topology.context_size
    rank = topology.data_rank * topology.context_size + topology.context_rank
    return values[rank * len(values) // size : (rank + 1) * len(values) // size]


def _exact_copy(part: torch.Tensor) -> torch.Tensor:
    """On the host, in half the memory if nothing is lost by it."""
    short = part.to(torch.bfloat16)
    return (short if torch.equal(short.to(part.dtype), part) else part).to("cpu", copy=True)


def _square(values: torch.Tensor) -> float:
    """The sum of squares."""
    return float(torch.linalg.vector_norm(values, dtype=torch.float64)) ** 2
