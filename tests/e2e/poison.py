"""Text and weights that make numbers go wrong, as they do in life: a token whose embedding is not a number, and a
stretch of noise between sentences."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
from real_runs import BATCH, CONFIG, World

from megakor.corpus.shard import ShardReader
from megakor.corpus.shard_writer import ShardWriter
from megakor.corpus.tokenizer import Tokenizer

NAN_BATCH, NOISE_BATCH, BATCHES = 6, 11, 16
"""Which global batches, counted from 0, have the poisoned token and the noise; and how many there are in all."""

_POISON = """
import sys
from dataclasses import asdict
from pathlib import Path
import torch
from megakor.train.start import import_libraries, with_vocabulary
import_libraries("cpu")
from megakor.checkpoint.manager import CheckpointManager, Policy
from megakor.config.load import load_config
from megakor.config.schema import ParallelConfig
from megakor.launch.rendezvous import Rendezvous
from megakor.parallel.device import choose_device
from megakor.parallel.topology import start_process_groups, stop_process_groups
from megakor.train.engine import build_engine
from megakor.train.state import model_state
config = with_vocabulary(load_config("poison.yaml", ["run.base=null"]))
device = choose_device("cpu")
topology = start_process_groups(ParallelConfig(), device, Rendezvous(0, 1, 0))
engine = build_engine(config, device, topology, 64)
with torch.no_grad():
    engine.bare_chunks[0].embedding.word_embeddings.weight[int(sys.argv[1])] = float("nan")
manager = CheckpointManager(Path("poison"), Policy(asynchronous=False), model=asdict(config.model), layout={})
manager.save(0, 0, model_state(engine), {})
stop_process_groups()
"""


def poisoned(world: World) -> None:
    """`poison.yaml` in the world, a source that is read in the order of its file, and the weights of its start."""
    tokenizer = Tokenizer.load(world.directory / "tokenizer")
    poison = tokenizer.token_id("<think>")
    english = ShardReader(world.directory / "shards" / "en")
    stream = np.resize(english.read(0, 300), BATCHES * BATCH + 1).astype(np.uint16)
    stream[NAN_BATCH * BATCH + 100] = poison
    noise = np.random.default_rng(5).integers(20, 590, BATCH)
    noise[noise == poison] = 20
    stream[NOISE_BATCH * BATCH : (NOISE_BATCH + 1) * BATCH] = noise
    with ShardWriter(world.directory / "shards" / "drill", np.dtype("uint16")) as writer:
        writer.add_document(stream)
    sources = "    drill: {path: shards/drill, language: en, order: file}\n"
    begin, end = CONFIG.index("    korean:"), CONFIG.index("  phases:")
    config = CONFIG[:begin] + sources + CONFIG[end:].replace("{korean: 0.5, english: 0.5}", "{drill: 1}")
    config = config.replace("runs/run, seed: 7", "runs/run, seed: 7, base: poison/tokens-000000000000")
    further = "sources: {english: {path: shards/en.validation, language: en}}"
    config = config.replace("tokens: 512}", f"tokens: 512, {further}}}").replace("tokens: 12288", "tokens: 16384")
    config = config.replace("peak: 3e-3", "peak: 1e-2")
    (world.directory / "poison.yaml").write_text(config)
    ended = subprocess.run(
        [sys.executable, "-c", _POISON, str(poison)], cwd=world.directory, capture_output=True, text=True
    )
    assert ended.returncode == 0, ended.stderr


def weights(run: Path) -> dict[str, bytes]:
    """What the newest checkpoint holds of weights and optimizer."""
    newest = max(path.parent for path in run.glob("checkpoints/*/manifest.json"))
    return {path.name: path.read_bytes() for path in newest.glob("*.distcp")}
