"""The schema of a run: one tree of dataclasses. A text under a field is its documentation (docs/config.md).

Amounts of training are tokens (`Tokens`: 65536, "400M", "4Mi", "2B"). A key that ends in "_" is written without it in
YAML.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from megakor.config.quantities import Tokens
from megakor.config.schema_data import DataConfig
from megakor.config.schema_resilience import ResilienceConfig
from megakor.config.schema_training import LrConfig, OptimizerConfig, TrainConfig


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
