import dataclasses
import json
from pathlib import Path

import pytest
from data_worlds import virtual_source, world, write_shard

from megakor.config.schema import Config
from megakor.config.schema_data import SourceConfig
from megakor.corpus.manifest import Manifest, write_manifest
from megakor.data.sources import Sources, open_sources
from megakor.data.validation import open_validation
from megakor.errors import DataError

MANIFEST = Manifest(
    tokenizer_sha256="a" * 64,
    vocabulary_size=100,
    language="ko",
    tokens=40,
    documents=1,
    text_bytes=80,
    dtype="uint16",
    bin_bytes=80,
    idx_bytes=62,
    append_eod=True,
    inputs=[],
    holdout_share=0.0,
    role="training",
)


def config_of(**paths: Path) -> Config:
    config = Config()
    config.data.sources = {name: SourceConfig(str(path), language=name) for name, path in paths.items()}
    return config


def test_a_directory_is_read_in_name_order_without_held_out_shards(tmp_path: Path) -> None:
    for number, name in enumerate(["part-2", "part-1", "part-1.validation"]):
        write_shard(tmp_path / name, [[number] * 40])
    (source,) = open_sources(config_of(ko=tmp_path), 16)
    assert [shard.prefix.name for shard in source.shards()] == ["part-1", "part-2"]
    assert source.blocks == (4,)
    assert source.tail_tokens == 16


def test_a_shard_of_megatron_lm_is_accepted_and_what_is_unknown_is_said(tmp_path: Path) -> None:
    write_shard(tmp_path / "ko", [[1] * 40])
    sources = open_sources(config_of(ko=tmp_path / "ko"), 16, tokenizer_sha256="b" * 64)
    assert "no manifest" in sources.notes[0]


def test_another_tokenizer_is_refused(tmp_path: Path) -> None:
    write_shard(tmp_path / "ko", [[1] * 40])
    write_manifest(tmp_path / "ko", MANIFEST)
    assert open_sources(config_of(ko=tmp_path / "ko"), 16, "a" * 64).notes == ()
    with pytest.raises(DataError, match=r"another tokenizer \(aaaaaaaaaaaa\)"):
        open_sources(config_of(ko=tmp_path / "ko"), 16, "b" * 64)


@pytest.mark.parametrize("field", ["bin_bytes", "idx_bytes"])
def test_a_shard_of_another_size_than_its_manifest_says_is_refused(tmp_path: Path, field: str) -> None:
    write_shard(tmp_path / "ko", [[1] * 40])
    write_manifest(tmp_path / "ko", dataclasses.replace(MANIFEST, **{field: 1234}))
    with pytest.raises(DataError, match=r"ko\.(bin|idx) has \d\d bytes, 1,234 by its manifest ko\.json"):
        open_sources(config_of(ko=tmp_path / "ko"), 16)


def test_a_regrouped_shard_without_its_row_file_is_refused(tmp_path: Path) -> None:
    write_shard(tmp_path / "ko", [[1] * 40])
    write_manifest(tmp_path / "ko", dataclasses.replace(MANIFEST, padding_tokens=8, checksums={"rows.arrow": "0" * 64}))
    with pytest.raises(DataError, match=r"made by `megakor corpus regroup`, but ko\.rows\.arrow is missing"):
        open_sources(config_of(ko=tmp_path / "ko"), 16)


def test_validation_text_of_another_tokenizer_is_refused(tmp_path: Path) -> None:
    write_shard(tmp_path / "ko", [[1] * 40])
    assert open_validation("ko", "ko", tmp_path / "ko", "b" * 64).shard.tokens == 40, "no manifest: nothing is known"
    write_manifest(tmp_path / "ko", dataclasses.replace(MANIFEST, role="validation"))
    assert open_validation("ko", "ko", tmp_path / "ko", "a" * 64).shard.tokens == 40
    with pytest.raises(DataError, match=r"validation of 'ko': .*another tokenizer"):
        open_validation("ko", "ko", tmp_path / "ko", "b" * 64)


def test_training_on_a_held_out_shard_is_refused_under_any_name(tmp_path: Path) -> None:
    write_shard(tmp_path / "renamed", [[1] * 40])
    write_manifest(tmp_path / "renamed", dataclasses.replace(MANIFEST, role="validation"))
    with pytest.raises(DataError, match="held-out shard"):
        open_sources(config_of(ko=tmp_path / "renamed"), 16)


def test_a_missing_source_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere.*is missing"):
        open_sources(config_of(ko=tmp_path / "nowhere"), 16)
    with pytest.raises(DataError, match=r"data.sources.ko.path.*without shards"):
        open_sources(config_of(ko=tmp_path), 16)


def test_a_source_shorter_than_a_block_is_refused(tmp_path: Path) -> None:
    write_shard(tmp_path / "ko", [[1] * 16])
    with pytest.raises(DataError, match="no shard has 17 tokens"):
        open_sources(config_of(ko=tmp_path / "ko"), 16)


def test_the_same_text_in_two_sources_is_refused(tmp_path: Path) -> None:
    write_shard(tmp_path / "ko", [[1] * 40])
    write_shard(tmp_path / "copy", [[1] * 40])
    with pytest.raises(DataError, match=r"copy holds the same text as .*ko of source 'ko'"):
        open_sources(config_of(ko=tmp_path / "ko", en=tmp_path / "copy"), 16)


def test_sources_travel_as_a_table() -> None:
    sources = world(virtual_source("ko", [100, 50], epochs=1.5), virtual_source("en", [70]))
    received = Sources.from_table(json.loads(json.dumps(sources.to_table())))
    assert list(received.by_id) == list(sources.by_id)
    assert received.to_table() == sources.to_table()
