"""A pre-norm transformer block of CLIP in PyTorch, with separate q, k, v and output projections that may carry
adapters.

Letters: B batch, N tokens, E width, r trained rank; P tokens that all sequences begin with, S others of each, Q tokens
that ask.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from edge_nusa.model.parameters import Projection
from edge_nusa.model.shapes import Activation, TransformerShape


class Adapter(nn.Module):
    """Null-space adapter of one matrix: scale * U_n M V_n^T with only M (r, r) trained (paper, eq. 3).

    left_basis (out, r) and right_basis (in, r): frozen orthonormal columns. M starts at zero, so that an untrained
    adapter is the identity. Dropout acts on the adapter's input.
    """

    def __init__(self, left_basis: Tensor, right_basis: Tensor, scale: float, dropout: float) -> None:
        super().__init__()
        self.left_basis: Tensor
        self.right_basis: Tensor
        self.register_buffer("left_basis", left_basis)
        self.register_buffer("right_basis", right_basis)
        self.core = nn.Parameter(torch.zeros(left_basis.shape[1], right_basis.shape[1]))
        self.scale = scale
        self.dropout = nn.Dropout(dropout)

    def forward(self, hidden: Tensor) -> Tensor:
        """(..., in) -> (..., out): never forms the (out, in) delta."""
        coordinates = self.dropout(hidden) @ self.right_basis
        return self.scale * (coordinates @ self.core.T) @ self.left_basis.T


class AdaptedLinear(nn.Linear):
    """A frozen linear layer that may carry an adapter while a task is trained."""

    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__(in_features, out_features)
        self.adapter: nn.Module | None = None

    def forward(self, hidden: Tensor) -> Tensor:
        """W x + b, plus the adapter's part when there is one."""
        output = super().forward(hidden)
        return output if self.adapter is None else output + self.adapter(hidden)


class Attention(nn.Module):
    """Multi-head self-attention with the four projections apart."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.q = AdaptedLinear(width, width)
        self.k = AdaptedLinear(width, width)
        self.v = AdaptedLinear(width, width)
        self.o = AdaptedLinear(width, width)

    def projection(self, name: Projection) -> AdaptedLinear:
        """One of the four by its letter."""
        return {"q": self.q, "k": self.k, "v": self.v, "o": self.o}[name]

    def forward(self, asking: Tensor, hidden: Tensor, mask: Tensor | None) -> Tensor:
        """asking (B, Q, E) looks at hidden (B, N, E) -> (B, Q, E); mask float, added to the scores (..., Q, N), or
        None."""
        heads = self.heads, hidden.shape[2] // self.heads
        q, k, v = (
            p(rows).unflatten(2, heads).transpose(1, 2)
            for p, rows in ((self.q, asking), (self.k, hidden), (self.v, hidden))
        )
        mixed = functional.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        return self.o(mixed.transpose(1, 2).flatten(2))

    def after_prefix(self, asking: Tensor, rows: Tensor, prefix: int, count: int, mask: Tensor) -> Tensor:
        """`forward` of `count` sequences that begin with the same `prefix` tokens: asking (Q, E) look at rows (P + B
        S, E) -> (Q, E).

        rows: the prefix once, then the S others of each sequence. asking: all rows, with mask (P + S, P + S); or one of
        each sequence, with mask (B, 1, 1, P + S).
        """
        heads = self.heads, rows.shape[1] // self.heads
        q, k, v = (p(tokens).unflatten(1, heads) for p, tokens in ((self.q, asking), (self.k, rows), (self.v, rows)))
        keys, values = (
            torch.cat([x[:prefix].expand(count, -1, -1, -1), x[prefix:].unflatten(0, (count, -1))], dim=1).transpose(
                1, 2
            )
            for x in (k, v)
        )
        parts = []
        if asking.shape[0] != count:
            first_q, first_k, first_v = (x[:prefix].transpose(0, 1).unsqueeze(0) for x in (q, k, v))
            parts.append(
                functional.scaled_dot_product_attention(first_q, first_k, first_v, attn_mask=mask[:prefix, :prefix])
            )
            q, mask = q[prefix:], mask[prefix:]
        parts.append(
            functional.scaled_dot_product_attention(
                q.unflatten(0, (count, -1)).transpose(1, 2), keys, values, attn_mask=mask
            )
        )
        return self.o(torch.cat([part.transpose(1, 2).flatten(2).flatten(0, 1) for part in parts]))


def _quick_gelu(hidden: Tensor) -> Tensor:
    return hidden * torch.sigmoid(1.702 * hidden)


def _tanh_gelu(hidden: Tensor) -> Tensor:
    return functional.gelu(hidden, approximate="tanh")


_ACTIVATIONS: dict[Activation, Callable[[Tensor], Tensor]] = {
    "gelu": functional.gelu,
    "quick_gelu": _quick_gelu,
    "tanh_gelu": _tanh_gelu,
}


class Mlp(nn.Module):
    """The block's frozen feed-forward part."""

    def __init__(self, shape: TransformerShape) -> None:
        super().__init__()
        self.c_fc = nn.Linear(shape.width, shape.mlp_width)
        self.c_proj = nn.Linear(shape.mlp_width, shape.width)
        self.activation = _ACTIVATIONS[shape.activation]

    def forward(self, hidden: Tensor) -> Tensor:
        """(B, N, E) -> (B, N, E)."""
        return self.c_proj(self.activation(self.c_fc(hidden)))


class LayerScale(nn.Module):
    """Multiplies each channel by a number of its own."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(width))

    def forward(self, hidden: Tensor) -> Tensor:
        """(..., E) -> (..., E)."""
        return hidden * self.gamma


class Block(nn.Module):
    """One pre-norm transformer block."""

    def __init__(self, shape: TransformerShape) -> None:
        super().__init__()
        self.ls_1, self.ls_2 = (LayerScale(shape.width) if shape.layer_scale else nn.Identity() for _ in range(2))
        self.ln_1 = nn.LayerNorm(shape.width, shape.epsilon)
        self.attn = Attention(shape.width, shape.heads)
        self.ln_2 = nn.LayerNorm(shape.width, shape.epsilon)
        self.mlp = Mlp(shape)

    def forward(self, hidden: Tensor, mask: Tensor | None = None) -> Tensor:
        """(B, N, E) -> (B, N, E)."""
        normed = self.ln_1(hidden)
        hidden = hidden + self.ls_1(self.attn(normed, normed, mask))
        return self._fed(hidden)

    def one_token(self, hidden: Tensor, token: Tensor, mask: Tensor | None = None) -> Tensor:
        """What `forward` gives of one token of each sequence, at a fraction of its cost: it asks, all others are
        only looked at.

        hidden (B, N, E), token (B,) int64 positions, mask (B, 1, 1, N) the tokens' rows of the mask -> (B, E).
        """
        rows = torch.arange(hidden.shape[0], device=hidden.device), token
        normed = self.ln_1(hidden)
        pooled = hidden[rows] + self.ls_1(self.attn(normed[rows].unsqueeze(1), normed, mask).squeeze(1))
        return self._fed(pooled)

    def after_prefix(self, rows: Tensor, prefix: int, count: int, mask: Tensor) -> Tensor:
        """`forward` of sequences that begin with the same tokens, laid as `Attention.after_prefix` says: (P + B S,
        E) -> (P + B S, E)."""
        normed = self.ln_1(rows)
        rows = rows + self.ls_1(self.attn.after_prefix(normed, normed, prefix, count, mask))
        return self._fed(rows)

    def one_token_after_prefix(self, rows: Tensor, token: Tensor, prefix: int, mask: Tensor) -> Tensor:
        """`one_token` of sequences that begin with the same tokens: rows (P + B S, E), token (B,) the place of each
        among the rows -> (B, E)."""
        normed = self.ln_1(rows)
        asked = self.attn.after_prefix(normed[token], normed, prefix, token.shape[0], mask)
        return self._fed(rows[token] + self.ls_1(asked))

    def _fed(self, hidden: Tensor) -> Tensor:
        """After the feed-forward part: (..., E) -> (..., E)."""
        return hidden + self.ls_2(self.mlp(self.ln_2(hidden)))
