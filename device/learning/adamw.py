"""AdamW for the few parameters of one task, bit for bit torch's own (Loshchilov and Hutter, arXiv 1711.05101).

`torch.optim.AdamW` imports torch's compiler when it is first made: 67 MiB and nearly a second that no step here needs
(docs/performance.md).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

BETAS = 0.9, 0.999
EPSILON = 1e-8


class AdamW:
    """Decoupled weight decay, and for each parameter, a float32 leaf, a learning rate of its own."""

    def __init__(self, parameters: Sequence[Tensor], rates: Sequence[float], weight_decay: float) -> None:
        self.parameters, self.rates, self.weight_decay = list(parameters), list(rates), weight_decay
        self.means = [torch.zeros_like(parameter) for parameter in self.parameters]
        self.squares = [torch.zeros_like(parameter) for parameter in self.parameters]
        self.steps = 0

    @torch.no_grad()
    def step(self, share: float) -> None:
        """One step at `share` of the rates, from the gradients, which are then gone."""
        self.steps += 1
        unbiased = [1 - beta**self.steps for beta in BETAS]
        for parameter, own_rate, mean, square in zip(
            self.parameters, self.rates, self.means, self.squares, strict=True
        ):
            gradient, rate = parameter.grad, own_rate * share
            if gradient is None:
                continue
            parameter.mul_(1 - rate * self.weight_decay)
            mean.lerp_(gradient, 1 - BETAS[0])
            square.mul_(BETAS[1]).addcmul_(gradient, gradient, value=1 - BETAS[1])
            parameter.addcdiv_(mean, (square.sqrt() / unbiased[1] ** 0.5).add_(EPSILON), value=-(rate / unbiased[0]))
            parameter.grad = None
