"""Which device and precision a run uses."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from adaptrans import processes
from adaptrans.allocator import spare_memory
from adaptrans.errors import ConfigError

if TYPE_CHECKING:
    import torch

DEVICES = ("auto", "cpu", "cuda", "mps")
PRECISIONS = ("auto", "fp32", "bf16")


def pick_device(name: str) -> torch.device:
    """The device of this name; `auto` takes a CUDA card, then Apple's, then the CPU.

    Of several processes that work together each takes a card of its own.

    Raises:
        ConfigError: If the name is unknown, or torch sees no such device.
    """
    import torch

    counts = {
        "cuda": torch.cuda.device_count() if torch.cuda.is_available() else 0,
        "mps": int(torch.backends.mps.is_available()),
        "cpu": 1,
    }
    if name == "auto":
        name = next(device for device, count in counts.items() if count)
    family, colon, index = name.partition(":")
    if family not in counts:
        raise ConfigError(f'unknown device "{name}"', remedy=f"choose from {', '.join(DEVICES)}")
    if not counts[family]:
        raise ConfigError(f"torch sees no {family} device here", remedy="use --device auto")
    if not colon:
        return (
            torch.device(family) if family != "cuda" or processes.count() == 1 else _own_card(counts[family])
        )
    known = [f"{family}:{number}" for number in range(counts[family])]
    if name not in known:
        raise ConfigError(
            f'torch sees no device "{name}" here', remedy=f"choose from {family}, {', '.join(known)}"
        )
    return torch.device(family, int(index))


def _own_card(cards: int) -> torch.device:
    """The card of this process, where several work together."""
    import torch

    if processes.local_rank() >= cards:
        raise ConfigError(
            f"more processes were started than torch sees cards ({cards})", remedy="start one for each card"
        )
    return torch.device("cuda", processes.local_rank())


def has_fast_bf16(device: torch.device) -> bool:
    """Whether the device multiplies bf16 matrices in hardware."""
    import torch

    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type == "cpu":
        return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return False


def pick_precision(name: str, device: torch.device) -> str:
    """`fp32` or `bf16`; `auto` takes bf16 where the device has it in hardware.

    Raises:
        ConfigError: If the name is unknown.
    """
    if name not in PRECISIONS:
        raise ConfigError(f'unknown precision "{name}"', remedy=f"choose from {', '.join(PRECISIONS)}")
    if name == "auto":
        return "bf16" if has_fast_bf16(device) else "fp32"
    return name


def autocast(device: torch.device, precision: str) -> contextlib.AbstractContextManager[object]:
    """Context in which the forward pass runs at this precision; weights stay in float32."""
    import torch

    if precision == "fp32":
        return contextlib.nullcontext()
    return torch.autocast(device.type, dtype=torch.bfloat16)


def let_go(device: torch.device | None) -> None:
    """Give memory that nothing uses back to the device, after it ended; from here on it is spared."""
    import gc

    gc.collect()
    spare_memory(True)
    if device is not None and device.type == "cuda":
        import torch

        torch.cuda.empty_cache()
