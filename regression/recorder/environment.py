"""What a run ran on, and the switches that change its bits."""

from __future__ import annotations

import os
import platform
import random
import sys
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch

PACKAGES = ("torch", "pytorch-lightning", "lightning", "numpy", "wandb", "hydra-core", "libcst")


def versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    if torch.version.cuda and torch.cuda.is_available():
        found["cuda"] = torch.version.cuda
        found["cudnn"] = str(torch.backends.cudnn.version())  # type: ignore[no-untyped-call]
        found["gpu"] = torch.cuda.get_device_name()
    return found


def flags() -> dict[str, Any]:
    """Global switches of torch as they are now."""
    return {
        "deterministic_algorithms": torch.are_deterministic_algorithms_enabled(),
        "cudnn.enabled": torch.backends.cudnn.enabled,
        "cudnn.deterministic": torch.backends.cudnn.deterministic,
        "cudnn.benchmark": torch.backends.cudnn.benchmark,
        "cudnn.allow_tf32": _told(lambda: torch.backends.cudnn.allow_tf32),
        "float32_matmul_precision": _told(torch.get_float32_matmul_precision),
        "matmul.allow_fp16_reduction": torch.backends.cuda.matmul.allow_fp16_reduced_precision_reduction,
        "matmul.allow_bf16_reduction": torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction,
        "attention.flash": torch.backends.cuda.flash_sdp_enabled(),  # type: ignore[no-untyped-call]
        "attention.memory_efficient": torch.backends.cuda.mem_efficient_sdp_enabled(),  # type: ignore[no-untyped-call]
        "attention.cudnn": torch.backends.cuda.cudnn_sdp_enabled(),  # type: ignore[no-untyped-call]
        "attention.math": torch.backends.cuda.math_sdp_enabled(),  # type: ignore[no-untyped-call]
        "default_dtype": str(torch.get_default_dtype()),
        "threads": torch.get_num_threads(),
        "grad_enabled": torch.is_grad_enabled(),
        "anomaly_detection": torch.is_anomaly_enabled(),
        "cublas_workspace": os.environ.get("CUBLAS_WORKSPACE_CONFIG", ""),
    }


def _told(switch: Callable[[], Any]) -> Any:
    """torch will not answer by an old name where the switch was set by a new one, `fp32_precision`."""
    try:
        return switch()
    except RuntimeError:
        return "set by its new name"


def make_deterministic(seed: int) -> None:
    """Seeds and switches as they are before the script's first line; it may set its own after them."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.backends.cudnn.benchmark = False


def _processor() -> str:
    """Its model, on which the choice of kernels, and so the last bit, can depend."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor()


def machine() -> dict[str, Any]:
    return {
        "cores": os.cpu_count(),
        "processor": _processor(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "system": platform.system(),
        "machine": platform.machine(),
        "byteorder": sys.byteorder,
    }
