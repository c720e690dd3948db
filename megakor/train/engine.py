"""The engine: a model on a layout, and the two things done with it, a training step and an evaluation pass."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
import torch.distributed as dist

from megakor.config.schema import Config, ModelConfig
from megakor.model.gpt import build_model, use_rotary_frequencies
from megakor.model.initialize import initialize
from megakor.model.transformer_config import transformer_config
from megakor.parallel.device import Device, to_host
from megakor.parallel.topology import Topology
from megakor.train.gradients import finalize_gradients
from megakor.train.micro_batch import MicroBatch
from megakor.train.optimizer import UpdateGate, build_optimizer, data_parallel, set_rates

if TYPE_CHECKING:
    from megatron.core.optimizer import MegatronOptimizer


Sums = tuple[torch.Tensor, torch.Tensor, dict[str, torch.Tensor]]
"""What megatron-core wants of a micro-batch: summed loss, tokens, and what it hands back."""
SumUp = Callable[[MicroBatch, torch.Tensor], Sums]
Pulse = Callable[[], None]
"""Called by all ranks alike, again and again, so that a long evaluation can be watched and stopped."""
LOOKED_AT_ONCE = 16
"""Micro-batches of an evaluation between two pulses, for each pipeline stage."""


@dataclass(frozen=True)
class StepResult:
    """What a step says about itself, the same on every rank."""

    loss: float
    """Token-weighted mean over the global batch, nats per token."""
    tokens: int
    """Tokens that had a loss."""
    grad_norm: float
    """Before clipping; over all parameters."""
    updated: bool
    """False if the update was refused: the weights are as they were."""


@dataclass
class Engine:
    """A model on this rank's part of a layout, with its optimizer. What runs the model is collective."""

    device: Device
    topology: Topology
    config: Any
    """megatron-core's TransformerConfig."""
    chunks: list[torch.nn.Module]
    """This rank's model chunks, wrapped for data parallelism."""
    optimizer: MegatronOptimizer
    gate: UpdateGate
    weight_decay: float
    model: ModelConfig
    """As it is now: a phase may have another RoPE base."""
    on_gradients: Callable[[], None] = lambda: None
    """Called in every step when this rank has its gradients, before they are added up with those of others."""

    def use_rope_base(self, base: float) -> None:
        """Turn queries and keys by another RoPE base from now on; nothing else changes."""
        if base != self.model.rope_base:
            self.model = replace(self.model, rope_base=base)
            use_rotary_frequencies(self.bare_chunks, self.model)

    @property
    def bare_chunks(self) -> list[torch.nn.Module]:
        """The chunks without their data-parallel wrapper."""
        return [chunk.module for chunk in self.chunks]  # type: ignore[misc]

    def train_step(
        self,
        batches: Sequence[MicroBatch],
        learning_rate: float,
        allow: Callable[[float, float], bool] = lambda loss, grad_norm: True,
    ) -> StepResult:
        """Forward and backward over this rank's micro-batches, then one update, if `allow(loss, grad_norm)`.

        Nothing waits for a GPU here but megatron-core, once, for the norm that it clips by: by then the loss has come
        to the host, too.
        """
        set_rates(self.optimizer, learning_rate, self.weight_decay)
        with self.device.megatron():
            told = self._start_reduction(self._accumulate(batches))
            updated, grad_norm = self.gate.step(lambda norm: allow(_mean(*told()), norm))
        loss, tokens = told()
        return StepResult(_mean(loss, tokens), tokens, grad_norm, updated)

    def gradients(self, batches: Sequence[MicroBatch]) -> None:
        """Forward and backward without an update: gradients stay in `parameter.main_grad`."""
        with self.device.megatron():
            self._accumulate(batches)

    def evaluate(self, batches: Sequence[MicroBatch], pulse: Pulse = lambda: None) -> tuple[float, int]:
        """Sum of the losses in nats, and number of tokens, over the micro-batches of all ranks. What `pulse` raises on
        all of them ends it."""
        return self._reduce(self._look(batches, _loss_sum, pulse))

    def losses_by_span(self, batches: Sequence[MicroBatch], spans: int, pulse: Pulse = lambda: None) -> torch.Tensor:
        """Losses in nats of the micro-batches of all ranks, summed by `spans_BS`: float64 [spans] on the host."""
        found = self._look(batches, partial(_span_sums, spans), pulse)
        total = torch.zeros(spans, dtype=torch.float64, device=self.device.torch)
        if self.topology.is_last_stage and self.topology.tensor_rank == 0:
            for sums in found:
                total += sums["losses"]
        dist.all_reduce(total)
        return total.cpu()

    def _look(self, batches: Sequence[MicroBatch], sum_up: SumUp, pulse: Pulse) -> list[dict[str, torch.Tensor]]:
        """Forward alone."""
        for chunk in self.chunks:
            chunk.eval()
        sums = []
        at_once = LOOKED_AT_ONCE * self.topology.pipeline_size
        try:
            for first in range(0, len(batches), at_once):
                with self.device.megatron(), torch.no_grad():
                    sums += self._run_schedule(batches[first : first + at_once], sum_up, forward_only=True)
                pulse()
        finally:
            for chunk in self.chunks:
                chunk.train()
        return sums

    def _accumulate(self, batches: Sequence[MicroBatch]) -> list[dict[str, torch.Tensor]]:
        for chunk in self.chunks:
            chunk.zero_grad_buffer()  # type: ignore[operator]
        self.optimizer.zero_grad()
        return self._run_schedule(batches, _loss_sum, forward_only=False)

    def _run_schedule(
        self, batches: Sequence[MicroBatch], sum_up: SumUp, forward_only: bool
    ) -> list[dict[str, torch.Tensor]]:
        """What `sum_up` gave for each micro-batch, on the last pipeline stage; nothing on the others."""
        from megatron.core.pipeline_parallel import get_forward_backward_func

        iterators = [iter(batches) for _ in self.chunks]
        return get_forward_backward_func()(
            forward_step_func=partial(_forward_step, sum_up),
            data_iterator=iterators if len(iterators) > 1 else iterators[0],
            model=self.chunks if len(self.chunks) > 1 else self.chunks[0],
            num_microbatches=len(batches),
            seq_length=batches[0].length,
            micro_batch_size=batches[0].tokens_BS.shape[0],
            forward_only=forward_only,
        )

    def _reduce(self, of_micro_batches: Sequence[dict[str, torch.Tensor]]) -> tuple[float, int]:
        return self._start_reduction(of_micro_batches)()

    def _start_reduction(self, of_micro_batches: Sequence[dict[str, torch.Tensor]]) -> Callable[[], tuple[float, int]]:
        """Add up what the last pipeline stages have seen: loss and tokens, when they are asked for. Tensor-parallel
        ranks hold the same sums: one of them counts."""
        total = torch.zeros(2, dtype=torch.float64, device=self.device.torch)
        if self.topology.is_last_stage and self.topology.tensor_rank == 0:
            for sums in of_micro_batches:
                total += sums["loss_and_tokens"]
        dist.all_reduce(total)
        on_host = to_host(total)

        def told() -> tuple[float, int]:
            loss, tokens = on_host()
            return loss, int(tokens)

        return told


def build_engine(config: Config, device: Device, topology: Topology, longest_sequence: int) -> Engine:
    """The model with its initial weights and a fresh optimizer, on this rank's part of the layout."""
    core = transformer_config(config.model, config.parallel, config.train, device)
    chunks = build_model(config.model, core, device, topology, longest_sequence)
    initialize(chunks, config.model, config.run.seed, topology)
    wrapped = data_parallel(chunks, core, config.parallel, device)
    optimizer = build_optimizer(wrapped, core, config.optimizer, config.parallel, config.train, device)
    gate, decay = UpdateGate(optimizer), config.optimizer.weight_decay
    engine = Engine(device, topology, core, wrapped, optimizer, gate, decay, config.model)
    core.finalize_model_grads_func = partial(_add_up_gradients, engine, core.finalize_model_grads_func)
    return engine


def _add_up_gradients(engine: Engine, finalize: Callable[..., Any], *arguments: Any, **options: Any) -> None:
    engine.on_gradients()
    finalize_gradients(finalize, *arguments, **options)


def _mean(loss: float, tokens: int) -> float:
    return loss / max(tokens, 1)


def _forward_step(
    sum_up: SumUp, batches: Iterator[MicroBatch], chunk: torch.nn.Module
) -> tuple[torch.Tensor, Callable[..., Any]]:
    batch = next(batches)
    output = chunk(
        batch.tokens_BS,
        batch.positions_BS,
        batch.attention_mask,
        labels=batch.labels_BS,
        packed_seq_params=batch.packed,
    )
    return output, partial(sum_up, batch)


def _loss_sum(batch: MicroBatch, loss_BS: torch.Tensor) -> Sums:
    """The three values that make megatron-core divide gradients by the tokens of the whole global batch."""
    total = (loss_BS.float() * batch.loss_mask_BS).sum()
    tokens = batch.loss_mask_BS.sum()
    return total, tokens.to(torch.int), {"loss_and_tokens": torch.stack([total.detach(), tokens]).double()}


def _span_sums(spans: int, batch: MicroBatch, loss_BS: torch.Tensor) -> Sums:
    assert batch.spans_BS is not None, "a batch whose losses are summed by span has spans"
    masked_BS = loss_BS.double() * batch.loss_mask_BS
    # index_put_ adds up in the same order every time, on a GPU too.
    sums = torch.zeros(spans, dtype=torch.float64, device=masked_BS.device)
    sums.index_put_((batch.spans_BS.flatten(),), masked_BS.flatten(), accumulate=True)
    return masked_BS.sum().float(), batch.loss_mask_BS.sum().to(torch.int), {"losses": sums}
