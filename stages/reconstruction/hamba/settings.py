"""How the network is run, and on what."""

import re
from typing import Literal

from pydantic import Field, field_validator

from stages.settings import StageSettings

_DEVICE = re.compile(r"auto|all|cpu|cuda|cuda:\d+(,cuda:\d+)*")


class NetworkSettings(StageSettings):
    """How the network is run."""

    device: str = Field(
        "auto",
        description="auto: a GPU if there is one; cpu; cuda; cuda:1; several GPUs: cuda:0,cuda:1 or all",
    )
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "auto", description="precision of the large matrix products; auto: bfloat16 if the device has it"
    )
    scan: Literal["auto", "reference", "associative", "blocked", "mamba-ssm", "triton"] = Field(
        "auto", description="selective scan; auto: triton on CUDA, or mamba-ssm if installed; blocked on a CPU"
    )
    unfused: str = Field(
        "", description="fused kernels to leave out on CUDA, separated by commas, or all; docs/model.md lists them"
    )
    rescale: float = Field(
        2.0, gt=0, le=10, description="size of the crop relative to the hand's box, 2 in the release"
    )
    threads: int | None = Field(None, ge=1, description="CPU threads of the network; none: torch's own choice")

    @field_validator("unfused")
    @classmethod
    def _check_unfused(cls, unfused: str) -> str:
        from hamba_core.network import fusion_names

        names = {name.strip() for name in unfused.split(",") if name.strip()}
        if unknown := sorted(names - {*fusion_names()}) if names != {"all"} else []:
            raise ValueError(f"expected all, or names among {', '.join(fusion_names())}, found {', '.join(unknown)}")
        return unfused

    @field_validator("device")
    @classmethod
    def _check_device(cls, device: str) -> str:
        if not _DEVICE.fullmatch(device):
            raise ValueError("expected auto, cpu, cuda, cuda:1, several as cuda:0,cuda:1, or all")
        return device
