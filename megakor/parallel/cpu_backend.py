"""Unmodified megatron-core on a CPU, over gloo.

megatron-core asks torch for CUDA devices, streams and tensor types in a few dozen places and has no CPU path. Inside
`with cpu_backend():` those questions are answered with the CPU. Every seam is listed in SEAMS with its reason; all are
undone on exit, apply to the calling thread only, and are never made when the run is on CUDA.
"""

from __future__ import annotations

import contextlib
import importlib
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from megakor.errors import HardwareError

CPU = torch.device("cpu")

SEAMS: dict[str, str] = {
    "torch.cuda:current_device": "megatron-core allocates on the current CUDA device; that is the CPU",
    "torch.cuda:synchronize": "nothing runs behind the program's back on a CPU",
    "torch.cuda:empty_cache": "there is no caching allocator",
    "torch.cuda:manual_seed": "the only generator is torch's own",
    "torch.cuda:get_rng_state": "the same",
    "torch.cuda:set_rng_state": "the same",
    "torch.cuda:current_stream": "schedules and the optimizer wait for streams; here a call returns when it is done",
    "torch.cuda:default_stream": "the same",
    "torch.cuda:Stream": "the same",
    "torch.cuda:Event": "the same",
    "torch.cuda:stream": "the same",
    "megatron.core.tensor_parallel.random:_get_cuda_rng_state": "recomputation of activations saves the random state",
    "megatron.core.tensor_parallel.random:_set_cuda_rng_state": "and restores it",
    "megatron.core.optimizer.distrib_optimizer:DistributedOptimizer._set_main_param_and_optimizer_states": (
        "torch's AdamW keeps `step` beside the moments; megatron-core would look for it among the loaded tensors"
    ),
}

HIDDEN = ("transformer_engine", "apex")
"""What megatron-core uses wherever it is installed (its Adam, its gradient norm), and what computes on CUDA alone."""

_depth = threading.local()


def is_active() -> bool:
    """Whether the calling thread is inside `cpu_backend()`."""
    return getattr(_depth, "value", 0) > 0


@contextlib.contextmanager
def cpu_backend() -> Iterator[None]:
    """Bridge every seam for the calling thread. Entering twice is the same as entering once."""
    if is_active():
        yield
        return
    replacements = _replacements()
    originals = {}
    _depth.value = 1
    try:
        for seam, replacement in replacements.items():
            owner, name = _locate(seam)
            originals[seam] = getattr(owner, name)
            setattr(owner, name, _in_this_thread_only(replacement, originals[seam]))
        with _CudaIsCpu():
            yield
    finally:
        for seam, original in originals.items():
            owner, name = _locate(seam)
            setattr(owner, name, original)
        _depth.value = 0


def import_megatron_core() -> str:
    """Import megatron-core with torch.compile off and what needs CUDA hidden, check that its seams are where they were,
    and return its version.

    megatron-core compiles its fused functions when it is imported, which pulls in the whole inductor: 1.6 s of a start,
    for functions that a CPU run does not use. What is hidden stays so for the life of the process: importing it says
    that it is not there.

    Raises:
        HardwareError: the installed version is one that this backend does not know, with what changed.
    """
    for name in HIDDEN:
        sys.modules.setdefault(name, None)  # type: ignore[arg-type]
    with contextlib.ExitStack() as stack:
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")
        compile_function = torch.compile
        torch.compile = _do_not_compile  # type: ignore[assignment]
        stack.callback(setattr, torch, "compile", compile_function)
        core = importlib.import_module("megatron.core")
        for module in ("megatron.core.models.gpt", "megatron.core.optimizer", "megatron.core.dist_checkpointing"):
            importlib.import_module(module)
    missing = [seam for seam in SEAMS if not _exists(seam)]
    if missing:
        names = "\n  ".join(f"{seam} ({SEAMS[seam]})" for seam in missing)
        raise HardwareError(
            f"megatron-core {core.__version__} does not have what the CPU backend bridges:\n  {names}\n"
            "Install megatron-core 0.16.1 (Python 3.11) or 0.19.2 (Python 3.12 and later), or run on CUDA."
        )
    return str(core.__version__)


class _CudaIsCpu(TorchFunctionMode):
    """Answers what cannot be patched by name: device arguments, Tensor.cuda() and the type names the optimizer
    compares."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if kwargs:
            if kwargs.get("device") is not None:
                kwargs = {**kwargs, "device": _to_cpu(kwargs["device"])}
            if "pin_memory" in kwargs:
                kwargs = {key: value for key, value in kwargs.items() if key != "pin_memory"}
            if func is torch.Tensor.cuda:
                return args[0]
            return func(*args, **kwargs)
        if func is torch.Tensor.cuda:
            return args[0]
        if func is torch.Tensor.to and len(args) > 1 and isinstance(args[1], str | torch.device):
            return func(args[0], _to_cpu(args[1]), *args[2:])
        if func is torch.Tensor.type and len(args) == 1:
            return func(*args).replace("torch.", "torch.cuda.")
        return func(*args)


class _NoStream:
    """A stream or event on which everything has already happened."""

    def __getattr__(self, name: str) -> Callable[..., _NoStream]:
        return lambda *args, **kwargs: self

    def __enter__(self) -> _NoStream:
        return self

    def __exit__(self, *exc: object) -> None:
        return None


def _replacements() -> dict[str, Callable[..., Any]]:
    def get_state(*args: Any, **kwargs: Any) -> torch.Tensor:
        return torch.get_rng_state()

    def set_state(state: torch.Tensor, *args: Any, **kwargs: Any) -> None:
        torch.set_rng_state(state)

    def nothing(*args: Any, **kwargs: Any) -> None:
        return None

    def no_stream(*args: Any, **kwargs: Any) -> _NoStream:
        return _NoStream()

    return {
        "torch.cuda:current_device": lambda: CPU,
        "torch.cuda:synchronize": nothing,
        "torch.cuda:empty_cache": nothing,
        "torch.cuda:manual_seed": lambda seed: torch.manual_seed(seed),
        "torch.cuda:get_rng_state": get_state,
        "torch.cuda:set_rng_state": set_state,
        "torch.cuda:current_stream": no_stream,
        "torch.cuda:default_stream": no_stream,
        "torch.cuda:Stream": no_stream,
        "torch.cuda:Event": no_stream,
        "torch.cuda:stream": lambda stream: contextlib.nullcontext(),
        "megatron.core.tensor_parallel.random:_get_cuda_rng_state": get_state,
        "megatron.core.tensor_parallel.random:_set_cuda_rng_state": set_state,
        "megatron.core.optimizer.distrib_optimizer:DistributedOptimizer._set_main_param_and_optimizer_states": (
            _set_main_param_and_optimizer_states
        ),
    }


def _set_main_param_and_optimizer_states(self: Any, model_param: torch.nn.Parameter, tensors: dict[str, Any]) -> None:
    """Copy loaded tensors into the main parameter and its moments; AdamW's `step` is not a tensor of the checkpoint."""
    group_index, group_order = self.model_param_group_index_map[model_param]
    main_param = self.optimizer.param_groups[group_index]["params"][group_order]
    targets = {"param": main_param, **self.optimizer.state[main_param]}
    with torch.no_grad():
        for key, target in targets.items():
            if key != "step":
                target.copy_(tensors[key])


def _in_this_thread_only(replacement: Callable[..., Any], original: Callable[..., Any]) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        return replacement(*args, **kwargs) if is_active() else original(*args, **kwargs)

    return call


def _to_cpu(device: Any) -> Any:
    kind = device.type if isinstance(device, torch.device) else str(device)
    return CPU if kind.startswith("cuda") else device


def _do_not_compile(function: Any = None, **options: Any) -> Any:
    return function if function is not None else lambda decorated: decorated


def _locate(seam: str) -> tuple[Any, str]:
    """The object that holds a seam's last name, and that name."""
    module_name, _, path = seam.partition(":")
    owner: Any = importlib.import_module(module_name)
    *parents, name = path.split(".")
    for parent in parents:
        owner = getattr(owner, parent)
    return owner, name


def _exists(seam: str) -> bool:
    try:
        owner, name = _locate(seam)
    except (ImportError, AttributeError):
        return False
    return hasattr(owner, name)
