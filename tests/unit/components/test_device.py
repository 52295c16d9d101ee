"""The device of a training, and how exactly it computes."""

import pytest
import torch

from memtrain.components.device import choose_device, set_exactness
from memtrain.core.errors import UserError


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_a_machine_without_a_gpu_is_told():
    with pytest.raises(UserError, match=r"training\.device: it is cuda, but PyTorch .* no GPU"):
        choose_device("cuda")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_auto_takes_the_cpu_of_a_machine_without_a_gpu():
    assert choose_device("auto") == torch.device("cpu")


def test_several_processes_share_a_cpu(monkeypatch):
    monkeypatch.setenv("LOCAL_RANK", "3")
    assert choose_device("cpu") == torch.device("cpu")


def test_parts_of_a_product_are_added_in_float32():
    products = torch.backends.cuda.matmul
    products.allow_bf16_reduced_precision_reduction = True
    products.allow_fp16_reduced_precision_reduction = True
    set_exactness(deterministic=False)
    assert not products.allow_bf16_reduced_precision_reduction
    assert not products.allow_fp16_reduced_precision_reduction


def test_float32_is_not_rounded_to_tf32():
    torch.backends.cudnn.allow_tf32 = True
    set_exactness(deterministic=False)
    assert not torch.backends.cudnn.allow_tf32
    assert not torch.backends.cuda.matmul.allow_tf32
