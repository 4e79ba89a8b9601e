"""AdamW written out is torch's own, and does not load torch's compiler."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from conftest import environment
from torch import Tensor

from edge_nusa.device.learning.adamw import AdamW

STEPS = 20
PROGRAM = """
import sys, torch
from edge_nusa.device.learning.adamw import AdamW
core = torch.zeros(4, 4, requires_grad=True)
(core - 1).square().sum().backward()
AdamW([core], [0.1], 0.01).step(1.0)
assert core.abs().min() > 0
print(*(name for name in ("torch._dynamo", "torch._inductor") if name in sys.modules))
"""


def rate(step: int) -> float:
    return (step + 1) / STEPS


def loss_of(cores: list[Tensor], target: Tensor) -> Tensor:
    return sum(((core - target) * target).square().sum() for core in cores)  # type: ignore[return-value]


@pytest.mark.parametrize("weight_decay", [0.0, 1e-2])
def test_steps_are_those_of_torch_bit_for_bit(weight_decay: float) -> None:
    torch.manual_seed(0)
    target = torch.randn(5, 7)
    ours, theirs = ([torch.zeros(5, 7, requires_grad=True), torch.zeros(5, 7, requires_grad=True)] for _ in range(2))
    mine = AdamW(ours, [3e-3, 1e-2], weight_decay)
    other = torch.optim.AdamW(
        [{"params": [theirs[0]], "lr": 3e-3}, {"params": [theirs[1]], "lr": 1e-2}],
        betas=(0.9, 0.999),
        weight_decay=weight_decay,
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(other, rate)
    for step in range(STEPS):
        loss_of(ours, target).backward()
        mine.step(rate(step))
        other.zero_grad(set_to_none=True)
        loss_of(theirs, target).backward()
        other.step()
        schedule.step()
    assert all(torch.equal(a, b) and float(a.detach().abs().max()) > 0 for a, b in zip(ours, theirs, strict=True))
    assert all(core.grad is None for core in ours), "a step must leave no gradient for the next"


def test_a_step_does_not_load_the_compiler_of_torch() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=environment(), capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == ""
