"""What has to be the same on every rank, as this rank has it."""

from __future__ import annotations

import hashlib
import importlib.metadata
import platform
from pathlib import Path

import megakor
from megakor.config.load import config_text
from megakor.config.schema import Config

PACKAGES = ("torch", "megatron-core", "numpy", "omegaconf", "tokenizers", "transformer-engine")
"""Whose versions are compared."""
CODE = "code"
CONFIG = "config"


def facts_of_rank(config: Config | None) -> dict[str, str]:
    """Subject -> value. Cheap: the largest part is to read the package's own sources once."""
    facts = {
        CODE: f"megakor {megakor.__version__}, {code_hash()}",
        "python": platform.python_version(),
        **{package: _version(package) for package in PACKAGES},
        "device": "cpu" if config is not None and config.device == "cpu" else _device(),
    }
    if config is not None:
        facts[CONFIG] = hashlib.sha256(config_text(config).encode()).hexdigest()[:12]
    return facts


def code_files() -> dict[str, str]:
    """Source file of this package -> SHA-256 of its content."""
    root = Path(megakor.__file__).parent
    return {
        path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*.py"))
    }


def code_hash() -> str:
    """Twelve digits for all source files together."""
    listed = "".join(f"{name} {digest}\n" for name, digest in code_files().items())
    return hashlib.sha256(listed.encode()).hexdigest()[:12]


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def _device() -> str:
    import torch

    if not torch.cuda.is_available():
        return "cpu"
    nccl = ".".join(map(str, torch.cuda.nccl.version()))
    return f"{torch.cuda.get_device_name()}, CUDA {torch.version.cuda}, NCCL {nccl}"
