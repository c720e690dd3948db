"""How large text and models are: as reported, or short."""

from __future__ import annotations

from dataclasses import dataclass

from megakor.config.schema import ModelConfig

KI = 1024


@dataclass(frozen=True)
class Shape:
    """A model to try."""

    layers: int
    hidden: int
    ffn: int
    heads: int

    def model(self) -> ModelConfig:
        """With grouped-query attention (two queries a key) and tied embeddings."""
        return ModelConfig(
            layers=self.layers,
            hidden_size=self.hidden,
            ffn_hidden_size=self.ffn,
            attention_heads=self.heads,
            key_value_heads=self.heads // 2,
            vocabulary_multiple=128,
            tied_embeddings=True,
        )

    @property
    def words(self) -> str:
        """For tables."""
        return f"{self.layers} layers, hidden {self.hidden}, ffn {self.ffn}, {self.heads} heads"


@dataclass(frozen=True)
class Batch:
    """The global batch of a run, in tokens, in rows of `row` tokens."""

    tokens: int
    row: int
    micro: int
    """In rows."""

    def whole(self, tokens: float) -> int:
        """The nearest number of whole batches, in tokens; at least one."""
        return max(round(tokens / self.tokens), 1) * self.tokens


@dataclass(frozen=True)
class Scale:
    """Tokens unless said otherwise."""

    megabytes: float
    """Of text of each language."""
    vocabulary: int
    row: int
    micro_batch: int
    """In rows, at most."""
    shapes: tuple[Shape, ...]
    trials: tuple[tuple[float, int], ...]
    """Peak learning rates and global batches of the base that the pilot tries with each shape."""
    pilot: int
    """Of a run that tries a shape and a rate, for the first shape; the others get as much compute."""
    base: int
    """Of an English base model."""
    evaluation: int
    """Of each validation set at each evaluation."""
    probe_items: int
    """Questions of a probe, in each language."""

    def batch(self, tokens: int) -> Batch:
        """With the largest micro-batch that fits."""
        return Batch(tokens, self.row, min(self.micro_batch, tokens // self.row))


FULL = Scale(
    megabytes=6.0,
    vocabulary=4096,
    row=256,
    micro_batch=4,
    shapes=(Shape(3, 128, 384, 4),),
    trials=((2e-3, KI // 2), (4e-3, KI // 2)),
    pilot=96 * KI,
    base=1024 * KI,
    evaluation=12 * KI,
    probe_items=64,
)
SHORT = Scale(
    megabytes=0.4,
    vocabulary=768,
    row=64,
    micro_batch=8,
    shapes=(Shape(2, 32, 96, 4), Shape(1, 48, 128, 4)),
    trials=((1e-2, KI // 2),),
    pilot=4 * KI,
    base=16 * KI,
    evaluation=1 * KI,
    probe_items=8,
)
