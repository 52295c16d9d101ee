"""The GPU, and the software that runs on it."""

from collections.abc import Iterator

import torch

from benchmarks.gpu.findings import NEEDS_A_GPU, Finding, Setting


def find(setting: Setting) -> Iterator[Finding]:
    """Yield what there is."""
    yield Finding("PyTorch", torch.__version__)
    yield Finding("threads", torch.get_num_threads())
    if not setting.on_gpu:
        yield Finding("GPU", NEEDS_A_GPU)
        return
    facts = torch.cuda.get_device_properties(setting.device)
    yield Finding("GPU", facts.name)
    yield Finding("memory", facts.total_memory / 2**30, "GiB")
    yield Finding("compute capability", f"{facts.major}.{facts.minor}")
    yield Finding("CUDA", str(torch.version.cuda))
    yield Finding("cuDNN", str(torch.backends.cudnn.version()))
    yield Finding("NCCL", ".".join(map(str, torch.cuda.nccl.version())))
    yield Finding("bfloat16 in hardware", str(torch.cuda.is_bf16_supported(False)))
