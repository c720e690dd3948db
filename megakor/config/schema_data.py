"""The part of the schema that says what is read, and in which order (docs/schedules.md)."""

from __future__ import annotations

from dataclasses import dataclass, field

from megakor.config.quantities import Tokens
from megakor.config.schema_controllers import ReplayControllerConfig, ReweightingConfig
from megakor.config.schema_training import LrConfig


@dataclass
class SubsetConfig:
    """A random part of a source."""

    tokens: Tokens = 0
    """Its size, in whole blocks."""
    resample: bool = False
    """Draw another part for each epoch (data-dynamic). Otherwise every epoch reads the same one."""


@dataclass
class SourceConfig:
    """Text of one kind."""

    path: str = ""
    """Prefix of Megatron shards: PATH.bin and PATH.idx, or a directory of such pairs."""
    language: str = ""
    """ko, en, ... Losses and the ledger are summed per language."""
    tags: list[str] = field(default_factory=list)
    """Words of your own: web, synthetic, code, ... `general` and `domain` are what replay and CMR look for."""
    epochs: float | None = None
    """Read at most this often, over the whole run; `exhausted` says what happens then. Default: no limit."""
    validation: str | None = None
    """Prefix of the held-out shard. Default: PATH.validation, when it is there."""
    exhausted: str = "redistribute"
    """When its epochs have been read. redistribute: its share goes to the others. stop: the run ends. fail: so it does,
    as an error."""
    subset: SubsetConfig | None = None
    """Read only a random part of it. An epoch is then a pass over that part. Default: all of it."""
    order: str = "shuffled"
    """shuffled, or file: the order of its shards, such as from easy to hard."""


@dataclass
class ReplayConfig:
    """A share of the mixture that is kept for general text, so that what was learnt before is not forgotten."""

    source: str | None = None
    """The source that is replayed; or give a tag."""
    tag: str | None = None
    """All sources with this tag are replayed. They divide the ratio by their weights, equally when none has one."""
    ratio: float | None = None
    """Its share of the tokens, 0 to 1. The weights of the other sources divide the rest."""
    ratio_end: float | None = None
    """The share at the end of the phase's ramp. Default: the same."""
    cmr: str | None = None
    """In the place of ratio: the file of a fitted critical mixture ratio (JSON); the share is 1 - R_star."""
    controller: ReplayControllerConfig | None = None
    """Moves the ratio by the general loss (docs/controllers.md). Default: it is as planned."""


@dataclass
class PhaseEvaluationConfig:
    """The evaluation grid of a phase, in the place of that of the run."""

    every: Tokens | None = None
    """Evaluate at least this often, counted from the start of the phase."""
    early: list[Tokens] = field(default_factory=list)
    """Further points, counted from the start of the phase."""


@dataclass
class PhaseConfig:
    """A stretch of the run with one mixture, or with one that moves steadily."""

    name: str = "main"
    """For reports and the ledger; no two phases share one."""
    tokens: Tokens | None = None
    """Its length. The last phase may leave it out: it gets the rest of train.tokens."""
    weights: dict[str, float] = field(default_factory=dict)
    """Share of each source, in tokens; scaled to a sum of 1."""
    sequence_length: int | None = None
    """Default: train.sequence_length."""
    lr: LrConfig | None = None
    """A learning-rate segment of this phase's own, its tokens counted from the start of the phase (re-warming)."""
    weights_end: dict[str, float] | None = None
    """The shares at the end of the ramp; those in `weights` are the beginning. Default: the same."""
    ramp: str = "linear"
    """How shares get from the beginning to the end: linear, cosine (half a cosine), or step (`ramp_steps` levels)."""
    ramp_steps: int = 4
    """step only: levels of equal length, the first with the shares of the beginning, the last with those of the end."""
    ramp_tokens: Tokens | None = None
    """Length of the ramp from the start of the phase; the end is held after it. A ramp longer than its phase is cut
    off. Default: the phase's length."""
    rule: str = "weights"
    """weights: as written. temperature or unimax: from the sizes of the sources, by their epochs."""
    sources: list[str] = field(default_factory=list)
    """Rules only: the sources that are read. Default: all."""
    temperature: float = 1.0
    """temperature only: shares go with size ^ (1 / temperature). 1: as the sizes are; higher: more equal."""
    max_epochs: float | None = None
    """unimax only: shares as equal as possible while no source is read more often than this in the phase."""
    replay: ReplayConfig | None = None
    """A share for general text. Default: none; it is a source like any other."""
    reweighting: ReweightingConfig | None = None
    """Moves shares by validation perplexities (docs/controllers.md). Default: they are as planned."""
    global_batch_size: Tokens | None = None
    """Default: train.global_batch_size."""
    loss_mask_tokens: list[str] = field(default_factory=list)
    """Tokens that are read but not learnt, such as <think>: no loss for predicting them. Written as in the tokenizer's
    vocabulary."""
    mask: str | None = None
    """Default: data.mask."""
    rope_base: float | None = None
    """From the first step of this phase on, such as for longer sequences. Default: model.rope_base."""
    evaluation: PhaseEvaluationConfig | None = None
    """An evaluation grid of this phase's own. Default: that of the run."""


@dataclass
class DataConfig:
    """What is read, and in which order."""

    tokenizer: str = ""
    """Directory with tokenizer.json, or a SentencePiece .model file."""
    sources: dict[str, SourceConfig] = field(default_factory=dict)
    phases: list[PhaseConfig] = field(default_factory=list)
    """Default: one phase with equal weights."""
    block_length: int | None = None
    """The unit of order. Default: the longest sequence of any phase. Cannot change once the run has started."""
    window_blocks: int = 256
    """For sequences shorter than a block: rows are shuffled inside a window of this many blocks."""
    mask: str = "document"
    """document: attention stays inside documents; in rows of `megakor corpus regroup`, inside their segments, which are
    documents or whole cross-lingual groups. isolated: inside documents, in cross-lingual groups too. none: a row is one
    piece. Evaluation uses this one in every phase."""
