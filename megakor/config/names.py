"""Keys of the schema, and what somebody who wrote a key that does not exist may have meant."""

from __future__ import annotations

import dataclasses
import difflib
import types
from collections.abc import Iterator
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

from megakor.config.schema import Config

FOREIGN_NAMES = {
    "bf16": "train.precision",
    "check_for_nan_in_loss_and_grad": "resilience.anomalies.not_finite",
    "clip_grad_norm": "optimizer.clip_grad",
    "context_parallel_size": "parallel.context",
    "data_path": "data.sources",
    "eval_interval": "evaluation.every",
    "exit_duration_in_mins": "resilience.time_limit_minutes",
    "fp8": "train.precision",
    "gradient_clipping": "optimizer.clip_grad",
    "intermediate_size": "model.ffn_hidden_size",
    "learning_rate": "lr.peak",
    "lr_decay_style": "lr.schedule",
    "lr_warmup_iters": "lr.warmup",
    "max_position_embeddings": "train.sequence_length",
    "max_steps": "train.tokens",
    "min_lr": "lr.minimum",
    "num_attention_heads": "model.attention_heads",
    "num_hidden_layers": "model.layers",
    "num_key_value_heads": "model.key_value_heads",
    "num_layers": "model.layers",
    "num_query_groups": "model.key_value_heads",
    "num_layers_per_virtual_pipeline_stage": "parallel.virtual_pipeline",
    "pipeline_model_parallel_size": "parallel.pipeline",
    "rope_theta": "model.rope_base",
    "rotary_base": "model.rope_base",
    "save_interval": "checkpoint.every",
    "seq_length": "train.sequence_length",
    "sequence_parallel": "parallel.sequence",
    "tensor_model_parallel_size": "parallel.tensor",
    "tie_word_embeddings": "model.tied_embeddings",
    "train_iters": "train.tokens",
    "use_distributed_optimizer": "parallel.distributed_optimizer",
    "vocab_size": "model.vocabulary_size",
}
"""Names of Megatron-LM and Hugging Face for what has another name here."""


def yaml_name(field_name: str) -> str:
    """The key of a field: `async_` is `async`, which Python does not allow as a name."""
    return field_name.rstrip("_")


def dotted(path: tuple[str | int, ...]) -> str:
    """A path of keys as text: data.phases.0.name."""
    return ".".join(str(part) for part in path)


def without_none(annotation: Any) -> Any:
    """`X | None` as X; anything else unchanged."""
    if get_origin(annotation) in (Union, types.UnionType):
        return next(argument for argument in get_args(annotation) if argument is not type(None))
    return annotation


def is_optional(annotation: Any) -> bool:
    """Whether None is a value of an annotation."""
    return get_origin(annotation) in (Union, types.UnionType)


def is_tokens(annotation: Any) -> bool:
    """Whether an annotation is `Tokens`."""
    return get_origin(annotation) is Annotated


def annotations_of(cls: Any) -> dict[str, Any]:
    """Annotation of each field, by its key in YAML."""
    hints = get_type_hints(cls, include_extras=True)
    return {yaml_name(field.name): hints[field.name] for field in dataclasses.fields(cls)}


def all_keys(cls: type = Config, prefix: str = "") -> Iterator[str]:
    """Dotted keys of the schema in its own order; NAME stands for a source, N for a place in a list."""
    for key, annotation in annotations_of(cls).items():
        yield prefix + key
        yield from _keys_inside(without_none(annotation), prefix + key)


def _keys_inside(annotation: Any, key: str) -> Iterator[str]:
    if dataclasses.is_dataclass(annotation):
        yield from all_keys(annotation, key + ".")  # type: ignore[arg-type]
    elif get_origin(annotation) in (dict, list) and dataclasses.is_dataclass(get_args(annotation)[-1]):
        place = "NAME" if get_origin(annotation) is dict else "N"
        yield from all_keys(get_args(annotation)[-1], f"{key}.{place}.")


def meant(key: str, siblings: list[str], prefix: str) -> list[str]:
    """Dotted keys that a user may have meant by the unknown `key` beside `siblings` under `prefix`; the best first."""
    foreign = FOREIGN_NAMES.get(key.replace("-", "_"))
    elsewhere = [known for known in all_keys() if known.split(".")[-1] == key]
    near = difflib.get_close_matches(key, siblings, n=1, cutoff=0.6)
    if near and difflib.SequenceMatcher(None, key, near[0]).ratio() > 0.85:
        return [prefix + near[0]]
    if foreign:
        return [foreign]
    if elsewhere:
        return elsewhere[:3]
    if near:
        return [prefix + near[0]]
    last_names = {known.split(".")[-1]: known for known in all_keys()}
    return [last_names[name] for name in difflib.get_close_matches(key, last_names, n=1, cutoff=0.75)]
