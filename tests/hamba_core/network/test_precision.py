"""Which precision a device is given, and float32 that means float32."""

from typing import Any

import pytest
import torch

from hamba_core.network import choose_precision, plain_float32

CUDNN: Any = torch.backends.cudnn
CONVOLUTIONS = CUDNN.conv


@pytest.mark.parametrize(
    ("capability", "dtype"), [((7, 5), torch.float32), ((8, 0), torch.bfloat16), ((9, 0), torch.bfloat16)]
)
def test_a_gpu_is_asked_itself_not_the_current_one(
    capability: tuple[int, int], dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def get_device_capability(device: torch.device) -> tuple[int, int]:
        asked.append(device)
        return capability

    monkeypatch.setattr("torch.cuda.get_device_capability", get_device_capability)
    assert choose_precision(torch.device("cuda", 1)).dtype == dtype
    assert asked == [torch.device("cuda", 1)]


def test_convolutions_round_to_nothing_less_than_float32_and_only_meanwhile() -> None:
    before = CONVOLUTIONS.fp32_precision
    with plain_float32():
        assert CONVOLUTIONS.fp32_precision == "ieee"
        assert torch.backends.cuda.matmul.fp32_precision == "ieee"
    assert CONVOLUTIONS.fp32_precision == before
