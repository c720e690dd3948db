"""The CPU backend bridges megatron-core's questions for CUDA, and leaves no trace."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import torch

from megakor.errors import HardwareError
from megakor.parallel import cpu_backend as backend
from megakor.parallel.cpu_backend import SEAMS, cpu_backend, import_megatron_core, is_active
from megakor.parallel.device import choose_device


def originals() -> dict[str, object]:
    return {seam: getattr(*backend._locate(seam)) for seam in SEAMS}


@pytest.fixture(autouse=True, scope="module")
def _megatron_core() -> None:
    import_megatron_core()


def test_every_seam_is_undone_on_exit_and_after_an_error() -> None:
    before = originals()
    with cpu_backend():
        assert all(value is not before[seam] for seam, value in originals().items())
    assert originals() == before
    with pytest.raises(KeyError), cpu_backend():
        raise KeyError
    assert originals() == before
    assert not is_active()


def test_entering_twice_is_entering_once() -> None:
    with cpu_backend():
        with cpu_backend():
            assert is_active()
        assert is_active()
        assert torch.cuda.current_device() == torch.device("cpu")


def test_cuda_means_the_cpu_inside() -> None:
    with cpu_backend():
        assert torch.zeros(2, device="cuda").device.type == "cpu"
        assert torch.ones(2).cuda().device.type == "cpu"
        assert torch.ones(2).to("cuda:0").device.type == "cpu"
        assert torch.tensor([1], pin_memory=True).tolist() == [1]
        assert torch.zeros(2).type() == "torch.cuda.FloatTensor"
    assert torch.zeros(2).type() == "torch.FloatTensor"


def test_another_thread_is_not_touched() -> None:
    inside, answers = threading.Event(), []

    def other() -> None:
        inside.wait(10)
        answers.append(is_active())
        answers.append(torch.zeros(1).type())

    thread = threading.Thread(target=other)
    thread.start()
    with cpu_backend():
        inside.set()
        thread.join()
    assert answers == [False, "torch.FloatTensor"]


def test_every_seam_has_a_reason_and_a_replacement() -> None:
    assert backend._replacements().keys() == SEAMS.keys()
    assert all(len(reason) > 3 for reason in SEAMS.values())


def test_an_unknown_megatron_core_is_told_what_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    gone = "megatron.core.optimizer.distrib_optimizer:DistributedOptimizer.gone"
    monkeypatch.setitem(backend.SEAMS, gone, "a reason to bridge it")
    with pytest.raises(
        HardwareError, match=r"(?s)DistributedOptimizer\.gone \(a reason to bridge it\).*Install megatron-core"
    ):
        import_megatron_core()


def test_what_computes_on_cuda_alone_is_hidden_from_megatron_core(tmp_path: Path) -> None:
    """With Transformer Engine or apex in sight it would take their Adam, and their gradient norm, for CPU tensors."""
    for name in backend.HIDDEN:
        (tmp_path / f"{name}.py").write_text("raise RuntimeError('imported')\n")
    script = (
        "from megakor.train.start import import_libraries\n"
        "import_libraries('cpu')\n"
        "from megatron.core.optimizer import distrib_optimizer\n"
        "print(distrib_optimizer.Adam.__module__.rpartition('.')[0])\n"
    )
    paths = os.pathsep.join([str(tmp_path), *sys.path])
    words = [sys.executable, "-c", script]
    done = subprocess.run(words, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": paths}, timeout=500)
    assert done.stdout.split() == ["torch.optim"], done.stderr


def test_auto_is_the_cpu_where_there_is_no_cuda_and_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    device = choose_device("auto")
    assert (device.kind, device.backend) == ("cpu", "gloo")
    assert "no CUDA device" in device.reason
    with pytest.raises(HardwareError, match="Use device: auto or cpu"):
        choose_device("cuda")
