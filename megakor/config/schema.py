"""The schema of a run: one tree of dataclasses. A text under a field is its documentation (docs/config.md).

Amounts of training are tokens (`Tokens`: 65536, "400M", "4Mi", "2B"). A key that ends in "_" is written without it in
YAML.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from megakor.config.quantities import Tokens
from megakor.config.schema_controllers import ReplayControllerConfig, ReweightingConfig


@dataclass
class RunConfig:
    """Where the run lives and what its randomness starts from."""

    dir: str = "runs/run"
    """Where the run lives: config.yaml, metrics.jsonl, ledger.jsonl, tensorboard/, checkpoints/."""
    seed: int = 1234
    """The one seed: initial weights, order of data. It cannot change once the run has started."""
    base: str | None = None
    """Begin with the weights of this checkpoint, or of the newest one of this run directory. Tokens are counted from 0.
    It cannot change once the run has started. Default: random weights."""
    base_optimizer: bool = False
    """Take the state of the base's optimizer, too. Otherwise its moments begin at zero."""


@dataclass
class ClusterConfig:
    """The machines of a run."""

    nodes: int = 1
    """Machines."""
    devices_per_node: int = 1
    """The world size that a dry run plans for and that a local start uses. A launcher's own world size wins over it."""


@dataclass
class RopeScalingConfig:
    """How rotary positions are stretched."""

    type: str = "linear"
    """linear: positions are divided by the factor. llama3: Llama 3.1's frequency-dependent rule."""
    factor: float = 8.0
    """How many times longer the context becomes."""
    low_frequency_factor: float = 1.0
    """llama3 only: frequencies of wavelengths above original_length / this are divided by the factor."""
    high_frequency_factor: float = 4.0
    """llama3 only: frequencies of wavelengths below original_length / this are kept."""
    original_length: int = 8192
    """llama3 only: the context before it was extended."""


@dataclass
class ModelConfig:
    """A decoder-only transformer."""

    layers: int = 4
    """Transformer layers: attention and a SwiGLU feed-forward network, each after an RMSNorm."""
    hidden_size: int = 256
    """Width of the residual stream."""
    ffn_hidden_size: int = 688
    """Width inside the feed-forward network, of gate and up projection each."""
    attention_heads: int = 4
    """Heads of queries."""
    key_value_heads: int | None = None
    """Heads of keys and values (grouped-query attention). Default: as many as attention heads."""
    head_dimension: int | None = None
    """Default: hidden_size / attention_heads."""
    vocabulary_size: int | None = None
    """Default: the tokenizer's."""
    vocabulary_multiple: int = 1024
    """The embedding is padded to a multiple of this, never of the tensor-parallel size, so that layouts agree."""
    norm_epsilon: float = 1e-5
    """Added to the mean square in every RMSNorm."""
    rope_base: float = 10_000.0
    """Base of the rotary position embeddings."""
    rope_scaling: RopeScalingConfig | None = None
    """Rotary position embeddings for a longer context. Default: none."""
    qk_norm: bool = False
    """RMSNorm on queries and keys of each head."""
    tied_embeddings: bool = False
    """The output layer uses the embedding's weights."""
    init_std: float = 0.02
    """Standard deviation of initial weights."""


@dataclass
class ParallelConfig:
    """How a model is split over ranks."""

    tensor: int = 1
    """Ranks that share each layer's matrices. They should be inside one node."""
    pipeline: int = 1
    """Stages: ranks that hold consecutive layers."""
    virtual_pipeline: int = 1
    """Model chunks on each pipeline stage (interleaved schedule); 1 is the plain one-forward-one-backward schedule."""
    context: int = 1
    """Ranks that share each sequence."""
    sequence: bool = False
    """Sequence parallelism: norms and residuals are split along the sequence inside the tensor-parallel group."""
    distributed_optimizer: bool = False
    """Shard optimizer state over data-parallel ranks (ZeRO-1)."""


@dataclass
class BatchRampConfig:
    """A global batch that grows."""

    start: Tokens = 0
    """Tokens of the first global batch."""
    over: Tokens = 0
    """The batch grows to train.global_batch_size over these tokens, in multiples of its start."""


@dataclass
class TrainConfig:
    """Budget, batch and number format."""

    tokens: Tokens = 1_000_000
    """The budget. The run ends at the first step at or after it."""
    global_batch_size: Tokens = 16_384
    """In tokens. A multiple of sequence_length x micro_batch_size x data-parallel size."""
    micro_batch_size: int = 1
    """In sequences."""
    sequence_length: int = 512
    """In tokens. A phase may have its own."""
    precision: str = "fp32"
    """fp32, bf16, fp8_delayed, fp8_tensorwise or fp8_blockwise. FP8 needs a Hopper GPU and Transformer Engine."""
    recompute: str = "none"
    """Activation recomputation: none, selective (core attention) or full (every layer)."""
    batch_ramp: BatchRampConfig | None = None
    """A smaller global batch at the start. Default: none."""


@dataclass
class OptimizerConfig:
    """AdamW."""

    beta1: float = 0.9
    """AdamW: decay of the mean of gradients."""
    beta2: float = 0.95
    """AdamW: decay of the mean of squared gradients."""
    epsilon: float = 1e-8
    """AdamW: added to the root of that mean."""
    weight_decay: float = 0.1
    """Not applied to norms."""
    clip_grad: float = 1.0
    """Largest global gradient norm; 0 turns clipping off."""


@dataclass
class LrConfig:
    """A schedule of the learning rate over one segment of tokens."""

    schedule: str = "cosine"
    """constant, linear, cosine or wsd (warm up, stay, decay)."""
    peak: float = 3e-4
    """The highest learning rate."""
    minimum: float = 0.0
    """Where a decay ends."""
    start: float = 0.0
    """Where a warm-up starts."""
    warmup: Tokens = 0
    """Length of the linear warm-up."""
    decay: Tokens | None = None
    """wsd only: the length of the decay, at the end of the segment. Default: a tenth of the segment."""
    decay_shape: str = "1-sqrt"
    """wsd only: linear, cosine, exponential or 1-sqrt."""


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


@dataclass
class EvaluationSourceConfig:
    """A validation set that belongs to no source of training."""

    path: str = ""
    """Prefix of a shard: PATH.bin and PATH.idx."""
    language: str = ""
    """Its losses are summed with those of other sets of this language."""
    tags: list[str] = field(default_factory=list)
    """As those of a source: `general` or `domain` say which side of a stability gap it measures."""


@dataclass
class ProbeConfig:
    """A task that the model is given at every evaluation, without being trained on it."""

    kind: str = "choice"
    """choice: questions with answers to choose from, by likelihood. copying: random tokens, and the same once more."""
    path: str = ""
    """choice only: a JSONL file of {question, choices, answer, language, domain}; `megakor corpus probe` makes one."""
    items: int = 200
    """choice: the first this many of the file. copying: sequences."""
    length: int = 64
    """copying only: tokens before they are repeated."""


@dataclass
class EvaluationConfig:
    """When and on how much text a run is evaluated."""

    every: Tokens | None = None
    """Evaluate at least this often. Default: at the start and the end only."""
    early: list[Tokens] = field(default_factory=list)
    """Further points, for a grid that is denser at the start."""
    tokens: Tokens = 65_536
    """Budget per source and evaluation: always the same first tokens of its validation shard."""
    sources: dict[str, EvaluationSourceConfig] = field(default_factory=dict)
    """Further validation sets, beside the held-out shards of data.sources."""
    probes: dict[str, ProbeConfig] = field(default_factory=dict)
    """Tasks beside losses: a loss may fall while what the model can do is lost."""


@dataclass
class CheckpointConfig:
    """When checkpoints are written and which are kept."""

    every: Tokens | None = None
    """Default: at the end only."""
    keep: int = 2
    """Newest checkpoints to keep; 0 keeps all."""
    keep_every: Tokens | None = None
    """Checkpoints at multiples of this are kept for ever."""
    async_: bool = True
    """Write in the background."""
    verify: str = "hashes"
    """hashes or sizes: what a resume compares with the manifest."""


@dataclass
class ReportConfig:
    """What a run tells on its way."""

    every: int = 1
    """Steps between console lines. metrics.jsonl gets every step."""
    tensorboard: bool = True
    """Write event files to tensorboard/ in the run directory."""
    weight_distance: bool = False
    """At every evaluation, how far each layer has moved from the weights that the run began with. Costs a copy of the
    weights in host memory, divided over the data-parallel ranks."""


@dataclass
class HangConfig:
    """After how long without progress a rank writes down the stacks of its threads, and the run ends (exit code 70)."""

    step_seconds: float = 300.0
    """A step may always take so long."""
    evaluation_seconds: float = 600.0
    """A few micro-batches of an evaluation."""
    checkpoint_seconds: float = 1800.0
    """What training waits for of a checkpoint."""
    start_seconds: float = 1800.0
    """A part of the start, such as the loading of a checkpoint; and the first step."""
    factor: float = 10.0
    """And each of them this many times what it has taken at most so far."""


@dataclass
class StragglersConfig:
    """Which ranks compute more slowly than others."""

    every: int = 50
    """Steps over which their times are added up and compared."""
    factor: float = 1.5
    """A rank is slow that takes this many times the median."""


@dataclass
class AnomaliesConfig:
    """What is done when numbers go wrong. Every step is judged before its update, on all ranks alike."""

    not_finite: str = "stop"
    """A loss or gradient that is no number, or infinite. skip_update: the weights stay as they are. skip_data: and the
    next skip_tokens are passed over. rollback: the run goes back to a checkpoint and passes over the data up to here.
    stop: exit code 76."""
    loss_spike: str = "report"
    """A loss far above those of the latest steps. report, or as above."""
    gradient_spike: str = "report"
    """A gradient norm far above those of the latest steps. report, or as above."""
    loss_score: float = 8.0
    """How far: robust standard deviations (1.4826 x the median absolute deviation) above the median."""
    gradient_score: float = 12.0
    """As loss_score."""
    window: int = 256
    """The latest steps that a step is compared with, of the same phase. Refused ones do not count."""
    least: int = 64
    """Steps of a phase before spikes are looked for."""
    skip_tokens: Tokens | None = None
    """skip_data only: how much is consumed without training after the batch itself."""
    back: int = 1
    """rollback only: 1 goes back to the newest checkpoint, 2 to the one before it."""
    most_rollbacks: int = 3
    """One more, within rollback_tokens, is a stop."""
    rollback_tokens: Tokens | None = None
    """Default: the whole run."""
    most_in_a_row: int = 10
    """One more refused step, with none between them that is well, is a stop."""


@dataclass
class ResilienceConfig:
    """What keeps a run safe."""

    grace_seconds: float = 120.0
    """From a request to stop to an exit by force, should the run not have saved by then. Set it below the time that the
    scheduler gives."""
    time_limit_minutes: float | None = None
    """Save and ask for a requeue (exit code 75) before so much time is over. Slurm's own limit is known without it."""
    stop_before_seconds: float = 180.0
    """How long before the time limit the run saves: longer than a step, an evaluation and a checkpoint take."""
    hang: HangConfig = field(default_factory=HangConfig)
    stragglers: StragglersConfig = field(default_factory=StragglersConfig)
    anomalies: AnomaliesConfig = field(default_factory=AnomaliesConfig)


@dataclass
class Config:
    """Everything that a run is made of."""

    run: RunConfig = field(default_factory=RunConfig)
    device: str = "auto"
    """auto, cuda or cpu."""
    cluster: ClusterConfig = field(default_factory=ClusterConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    parallel: ParallelConfig = field(default_factory=ParallelConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    lr: LrConfig = field(default_factory=LrConfig)
    data: DataConfig = field(default_factory=DataConfig)
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)
    checkpoint: CheckpointConfig = field(default_factory=CheckpointConfig)
    report: ReportConfig = field(default_factory=ReportConfig)
    resilience: ResilienceConfig = field(default_factory=ResilienceConfig)
