"""Trains a byte-level BPE tokenizer on a balance of languages."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from megakor.corpus.inputs.records import Fields
from megakor.corpus.operations.workplace import workplace
from megakor.corpus.tokenizer import END_OF_DOCUMENT, PADDING
from megakor.corpus.tokenizer import Tokenizer as AnyTokenizer
from megakor.corpus.tokenizer_files import (
    REPORT_FORMAT,
    Files,
    inputs_record,
    is_trained,
    listed,
    options_record,
    publish_tokenizer,
)
from megakor.corpus.tokenizer_limits import check_outputs
from megakor.corpus.tokenizer_options import CONFIG, REPORT, TOKENIZER, TokenizerOptions
from megakor.corpus.tokenizer_patterns import pieces_pattern
from megakor.corpus.tokenizer_report import measure, table, with_all
from megakor.corpus.tokenizer_sample import MEGABYTE, Reading, Sample, take_sample
from megakor.storage import make_directory, write_text
from megakor.units import counted, percent

_HELD_OUT_MEGABYTES = 2.0
Log = Callable[[str], None]


def train_tokenizer(options: TokenizerOptions, log: Log) -> Path:
    """Train and write OUTPUT/tokenizer.json, its tokenizer_config.json for transformers and tokenizer_report.json.

    The shares are exact to a character: the scarcest language limits the amount of all, and the last document of the
    others is cut. Nothing is done where this very training has been done. Returns OUTPUT.

    Raises:
        ConfigError: options, or another tokenizer is there and may not be replaced.
        DataError: inputs that cannot be read or hold no text.
        StorageError: the output cannot be written; an older tokenizer stays.
    """
    options.validate()
    outputs = [options.output / name for name in (TOKENIZER, CONFIG, REPORT)]
    check_outputs("--output", [options.output, *outputs], options.inputs)
    files = listed(options)
    if not options.overwrite and is_trained(options, files):
        log(f"{options.output}: nothing to do, this command has trained it before (--overwrite trains it again)")
        return options.output
    make_directory(options.output)
    with workplace(options.output / "tokenizer") as directory:
        samples = _balanced_samples(options)
        _say_samples(samples, log)
        report = _write(options, directory, files, samples, log)
        publish_tokenizer(directory, options.output)
    for line in [*report_lines(report), f"wrote {options.output}"]:
        log(line)
    return options.output


def report_lines(report: Mapping[str, Any]) -> list[str]:
    """A tokenizer's report as a table."""
    rows = [((name, row["measured_on"]), row) for name, row in report["languages"].items()]
    return table(("language", "text"), rows)


def _say_samples(samples: Mapping[str, Sample], log: Log) -> None:
    whole = sum(sample.training.bytes for sample in samples.values())
    sizes = [
        f"{name} {sample.training.bytes / MEGABYTE:.2f} MB ({percent(sample.training.bytes / whole)})"
        for name, sample in samples.items()
    ]
    log(f"training text: {', '.join(sizes)}")
    for language, sample in samples.items():
        if sample.problems:
            were = "was" if sample.problems == 1 else "were"
            log(f"{language}: {counted(sample.problems, 'document')} that cannot be read {were} left out")


def _write(
    options: TokenizerOptions, directory: Path, files: Files, samples: Mapping[str, Sample], log: Log
) -> dict[str, Any]:
    """Train, and write all files into `directory`; returns the report."""
    log(f"merging bytes into a vocabulary of {options.vocabulary_size:,}; of much text that takes minutes")
    encoder = _train(options, samples)
    size = encoder.get_vocab_size(with_added_tokens=True)
    if size < options.vocabulary_size:
        log(f"the text yields {size:,} tokens only, fewer than the {options.vocabulary_size:,} asked for")
    write_text(directory / CONFIG, json.dumps(_transformers_config(options), indent=2) + "\n")
    write_text(directory / TOKENIZER, encoder.to_str(pretty=True) + "\n")
    log("measuring it")
    report = _report(options, directory, files, samples)
    write_text(directory / REPORT, json.dumps(report, indent=2, ensure_ascii=False) + "\n")
    return report


def _balanced_samples(options: TokenizerOptions) -> dict[str, Sample]:
    """For each language a sample of the size that its share allows."""
    weights = dict(options.weights or dict.fromkeys(options.inputs, 1.0))
    whole, most = sum(weights.values()), options.max_megabytes * MEGABYTE
    reading = Reading(Fields(options.json_key, text_unit=options.text_unit), options.seed, options.on_error)
    held_out = int(min(_HELD_OUT_MEGABYTES * MEGABYTE, most / 4))
    samples = {
        language: take_sample(inputs, int(most * weights[language] / whole), held_out, reading)
        for language, inputs in options.inputs.items()
    }
    total = min(most, *(sample.training.bytes * whole / weights[name] for name, sample in samples.items()))
    for language, sample in samples.items():
        sample.training.cut(round(total * weights[language] / whole))
    return samples


def _train(options: TokenizerOptions, samples: Mapping[str, Sample]) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    if options.normalize == "nfc":
        tokenizer.normalizer = normalizers.NFC()
    pattern = pieces_pattern(options.pieces, options.digits, options.whitespace)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(pattern), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=options.vocabulary_size,
        show_progress=False,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        special_tokens=[AddedToken(name, normalized=False) for name in (*options.special, *options.markers)],
    )
    texts = chain.from_iterable(sample.training.texts() for sample in samples.values())
    tokenizer.train_from_iterator(texts, trainer)
    return _with_markers(tokenizer, options.markers)


def _with_markers(tokenizer: Tokenizer, markers: Sequence[str]) -> Tokenizer:
    """The same with markers that are no special tokens; a trainer makes special whatever it is given."""
    content = json.loads(tokenizer.to_str())
    for token in content["added_tokens"]:
        token["special"] = token["content"] not in markers
    return Tokenizer.from_str(json.dumps(content))


def _transformers_config(options: TokenizerOptions) -> dict[str, object]:
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "eos_token": END_OF_DOCUMENT,
        "pad_token": PADDING,
        "additional_special_tokens": list(options.special[2:]),
        "clean_up_tokenization_spaces": False,
    }


def _report(options: TokenizerOptions, directory: Path, files: Files, samples: Mapping[str, Sample]) -> dict[str, Any]:
    """What was asked for, what it was trained on, and how the tokenizer in `directory` does on text it has not seen."""
    tokenizer = AnyTokenizer.load(directory)
    held_out = {name: len(sample.held_out) > 0 for name, sample in samples.items()}
    figures = with_all(
        {
            name: measure(tokenizer, (sample.held_out if held_out[name] else sample.training).texts())
            for name, sample in samples.items()
        }
    )
    every = all(held_out.values())
    return {
        "format": REPORT_FORMAT,
        "sha256": tokenizer.sha256,
        "vocabulary_size": tokenizer.vocabulary_size,
        "options": options_record(options),
        "inputs": inputs_record(options, files),
        "special_tokens": {name: tokenizer.token_id(name) for name in options.special},
        "markers": {name: tokenizer.token_id(name) for name in options.markers},
        "training": {
            name: {
                "documents": len(sample.training),
                "bytes": sample.training.bytes,
                "documents_seen": sample.documents_seen,
                "bytes_seen": sample.bytes_seen,
                "unreadable": sample.problems,
            }
            for name, sample in samples.items()
        },
        "languages": {
            name: {"measured_on": "held-out" if held_out.get(name, every) else "training", **row.to_json()}
            for name, row in figures.items()
        },
    }
