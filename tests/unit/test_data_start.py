import json
import subprocess
import sys
from pathlib import Path

from data_worlds import write_shard

from megakor.config.schema import Config
from megakor.config.schema_data import SourceConfig
from megakor.data.start import compile_table, start_stream


def config_of(directory: Path) -> Config:
    config = Config()
    for number, name in enumerate(("ko", "en")):
        write_shard(directory / name, [[number] * 400])
        config.data.sources[name] = SourceConfig(str(directory / name), language=name)
    config.train.global_batch_size, config.train.sequence_length = 128, 32
    return config


def test_a_run_starts_from_a_table_and_continues_from_a_state(tmp_path: Path) -> None:
    config = config_of(tmp_path)
    table = json.loads(json.dumps(compile_table(config)))
    stream, difference = start_stream(config, table)
    assert difference is None
    stream.next_batch()
    again, difference = start_stream(config, table, json.loads(json.dumps(stream.state_dict())))
    assert difference is not None and not difference.changed
    assert again.next_batch().rows == stream.next_batch().rows


def test_the_block_length_of_the_checkpoint_is_kept_when_the_longest_phase_is_gone(tmp_path: Path) -> None:
    config = config_of(tmp_path)
    config.data.block_length = 64
    stream, _ = start_stream(config, compile_table(config))
    state = stream.state_dict()
    config.data.block_length = None
    again, _ = start_stream(config, compile_table(config, state=state), state)
    assert again.sources.block_length == 64


def test_the_data_side_never_imports_torch() -> None:
    code = (
        "import sys, megakor.data.start, megakor.data.rows, megakor.data.validation, megakor.data.statement, "
        "megakor.data.audit; sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
