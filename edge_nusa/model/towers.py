"""The two towers of CLIP in PyTorch, cut into trunk and tail.

The same modules are traced into the ONNX graphs at export and trained on the board, so both are one definition.
Parameter names are those of `edge_nusa.model.parameters`. Letters: B batch, N tokens, E width, D embedding.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from edge_nusa.model.blocks import Block
from edge_nusa.model.shapes import TextShape, TransformerShape, VitShape


def _blocks(shape: TransformerShape, first: int, last: int) -> nn.ModuleDict:
    return nn.ModuleDict({str(i): Block(shape) for i in range(first, last)})


def _one_token_through(
    blocks: nn.ModuleDict, hidden: Tensor, token: Tensor, mask: Tensor | None, rows: Tensor | None
) -> Tensor:
    """One token of each sequence after the blocks (none: as it came). hidden (B, N, E), token (B,), mask (N, N),
    rows of it (B, 1, 1, N) -> (B, E)."""
    chain = cast("list[Block]", list(blocks.values()))
    for block in chain[:-1]:
        hidden = block(hidden, mask)
    return (
        chain[-1].one_token(hidden, token, rows)
        if chain
        else hidden[torch.arange(hidden.shape[0], device=hidden.device), token]
    )


def _causal_mask(tokens: int) -> Tensor:
    return torch.full((tokens, tokens), float("-inf")).triu(1)


LAYOUT_SHARE = 0.25
"""Weight of the layout beside the two tokens in the head's features (docs/evidence.md: 0.15 to 0.4 are alike)."""


def unit_rms(rows: Tensor) -> Tensor:
    """Rows (B, F) of root mean square 1."""
    return rows * torch.rsqrt(rows.square().mean(dim=-1, keepdim=True) + 1e-12)


def _rolled(rows: Tensor, by: int) -> Tensor:
    return torch.cat([rows[..., -by:], rows[..., :-by]], dim=-1) if by else rows


def layout(patches: Tensor, width: int) -> Tensor:
    """Where things are: contrasts of the four quadrants' mean tokens (top-bottom, left-right, diagonal), folded.

    patches (B, S, S, E) -> (B, width), width a divisor of E. The three contrasts are added with channels shifted
    against each other, a sketch that keeps nearly all of what they say together (docs/evidence.md). With S odd the
    middle belongs to both halves.
    """
    side, channels = patches.shape[1], patches.shape[3]
    first, second = slice(0, (side + 1) // 2), slice(side // 2, side)
    a, b, c, d = (patches[:, rows, columns].mean(dim=(1, 2)) for rows in (first, second) for columns in (first, second))
    mixed = a + b - c - d + _rolled(a - b + c - d, channels // 3) + _rolled(a - b - c + d, 2 * channels // 3)
    return torch.stack(mixed.split(width, dim=-1)).sum(dim=0)


class ImageTrunk(nn.Module):
    """The whole image tower, frozen: pixels -> tokens at the cut, taps for the head, the untouched embedding."""

    def __init__(self, shape: VitShape) -> None:
        super().__init__()
        self.cut = shape.layers - shape.tail_blocks
        self.side = shape.size // shape.patch
        self.layout_width = shape.layout_width
        self.conv1 = nn.Conv2d(3, shape.width, shape.patch, shape.patch, bias=False)
        self.class_embedding = nn.Parameter(torch.zeros(shape.width))
        self.positional_embedding = nn.Parameter(torch.zeros((shape.size // shape.patch) ** 2 + 1, shape.width))
        self.ln_pre = nn.LayerNorm(shape.width, shape.epsilon)
        self.blocks = _blocks(shape, 0, shape.layers)
        self.ln_post = nn.LayerNorm(shape.width, shape.epsilon)
        self.proj = nn.Parameter(torch.zeros(shape.width, shape.embed_dim))

    def forward(self, pixels: Tensor) -> tuple[Tensor, ...]:
        """pixels (B, 3, S, S) float32 normalised -> embedding (B, D) unit norm, taps (B, taps), tokens (B, N, E).

        taps: class token, mean patch token and layout of the last block after the last norm, the first two of root mean
        square 1, the layout of LAYOUT_SHARE. Without tail blocks there is nothing to cut, and the tokens are left out.
        """
        hidden = self.conv1(pixels).flatten(2).transpose(1, 2)
        first = self.class_embedding + torch.zeros_like(hidden[:, :1])
        hidden = self.ln_pre(torch.cat([first, hidden], dim=1) + self.positional_embedding)
        tokens: list[Tensor] = []
        for index, block in self.blocks.items():
            if int(index) == self.cut:
                tokens.append(hidden)
            hidden = block(hidden)
        hidden = self.ln_post(hidden)
        embedding = functional.normalize(hidden[:, 0] @ self.proj, dim=-1)
        patches = hidden[:, 1:].unflatten(1, (self.side, self.side))
        groups = hidden[:, 0], patches.mean(dim=(1, 2)), layout(patches, self.layout_width)
        taps = [unit_rms(rows) * weight for rows, weight in zip(groups, (1.0, 1.0, LAYOUT_SHARE), strict=True)]
        return embedding, torch.cat(taps, dim=1), *tokens


class ImageTail(nn.Module):
    """The last blocks of the image tower, adapted: tokens at the cut -> embedding. The last one computes the class
    token alone."""

    def __init__(self, shape: VitShape) -> None:
        super().__init__()
        self.blocks = _blocks(shape, shape.layers - shape.tail_blocks, shape.layers)
        self.ln_post = nn.LayerNorm(shape.width, shape.epsilon)
        self.proj = nn.Parameter(torch.zeros(shape.width, shape.embed_dim))

    def forward(self, tokens: Tensor) -> Tensor:
        """tokens (B, N, E) float32 -> (B, D) unit norm."""
        pooled = _one_token_through(
            self.blocks, tokens, torch.zeros_like(tokens[:, 0, 0], dtype=torch.int64), None, None
        )
        return functional.normalize(self.ln_post(pooled) @ self.proj, dim=-1)


class TextTrunk(nn.Module):
    """The front of the text tower, frozen: token ids -> hidden states at the cut."""

    def __init__(self, shape: TextShape, vocab_size: int) -> None:
        super().__init__()
        self.pad_id = shape.pad_id
        self.token_embedding = nn.Embedding(vocab_size, shape.width)
        self.cls_emb = nn.Parameter(torch.zeros(shape.width)) if shape.pool == "class" else None
        self.positional_embedding = nn.Parameter(torch.zeros(shape.positions, shape.width))
        self.blocks = _blocks(shape, 0, shape.layers - shape.tail_blocks)
        self.mask: Tensor | None
        self.register_buffer("mask", _causal_mask(shape.positions) if shape.causal else None, persistent=False)

    def forward(self, token_ids: Tensor) -> Tensor:
        """token_ids (B, T) int64, T at most the context, or all of it (`TextShape.is_whole`) -> (B, T, E).

        With a class token (B, T + 1, E + 1): the last number says of a token whether others look at it. As in
        open_clip, that is all tokens but those behind a `pad_id`; so the class token looks at itself in full texts
        only.
        """
        hidden = self.token_embedding(token_ids)
        keys = None
        if self.cls_emb is not None:
            behind = self.cls_emb.expand(hidden.shape[0], 1, -1)
            hidden = torch.cat([hidden, behind], dim=1)
            first = torch.ones_like(hidden[:, :1, 0])
            keys = torch.cat([first, (token_ids != self.pad_id).to(hidden.dtype)], dim=1)
        tokens = hidden.shape[1]
        hidden = hidden + self.positional_embedding[:tokens]
        mask = _text_mask(self.mask, keys, tokens)
        for block in self.blocks.values():
            hidden = block(hidden, mask)
        return hidden if keys is None else torch.cat([hidden, keys.unsqueeze(2)], dim=2)


def _text_mask(causal: Tensor | None, keys: Tensor | None, tokens: int) -> Tensor | None:
    """What is added to attention's scores: causal (N, N) cut to the tokens, or with keys (B, T), 1 for a token that may
    be looked at, (B, 1, T, T); None where all may look at all."""
    cut = None if causal is None else causal[:tokens, :tokens]
    if keys is None:
        return cut
    hiding = torch.where(keys > 0.5, 0.0, float("-inf"))[:, None, None, :].expand(-1, -1, tokens, -1)
    return hiding if cut is None else hiding + cut


class TextTail(nn.Module):
    """The last blocks of the text tower, adapted: hidden states at the cut -> anchors. The last one computes the
    pooled token alone."""

    def __init__(self, shape: TextShape) -> None:
        super().__init__()
        self.has_class_token = shape.pool == "class"
        self.blocks = _blocks(shape, shape.layers - shape.tail_blocks, shape.layers)
        self.ln_final = nn.LayerNorm(shape.width, shape.epsilon)
        self.text_projection: nn.Parameter | nn.Linear | None = None
        if shape.projection == "matrix":
            self.text_projection = nn.Parameter(torch.zeros(shape.width, shape.embed_dim))
        elif shape.projection == "linear":
            self.text_projection = nn.Linear(shape.width, shape.embed_dim)
        self.mask: Tensor | None
        self.register_buffer("mask", _causal_mask(shape.positions) if shape.causal else None, persistent=False)

    def forward(self, hidden: Tensor, last: Tensor) -> Tensor:
        """hidden (B, T, E) float32, or (B, T, E + 1) with a class token; last (B,) int64 the pooled token's position ->
        (B, D) unit norm."""
        tokens = hidden.shape[1]
        if self.has_class_token:
            mask = _text_mask(self.mask, hidden[:, :, -1], tokens)
            assert mask is not None
            rows: Tensor | None = mask[torch.arange(hidden.shape[0]), :, last].unsqueeze(2)
            hidden = hidden[:, :, :-1]
        else:
            mask = _text_mask(self.mask, None, tokens)
            rows = None if self.mask is None else self.mask[last, :tokens].unflatten(0, (-1, 1, 1))
        return self._embedded(_one_token_through(self.blocks, hidden, last, mask, rows))

    def after_prefix(self, hidden: Tensor, last: Tensor, prefix: int) -> Tensor:
        """`forward` where the first `prefix` hidden states of all B texts are the same: causal, so they pass once,
        and not B times.

        Dropout falls on the prefix once for all texts. hidden (B, T, E), last (B,) int64 >= prefix -> (B, D). Without
        blocks, with nothing in common, or where what comes first depends on what follows, it is `forward`.
        """
        if not prefix or not len(self.blocks) or self.mask is None or self.has_class_token:
            return self(hidden, last)  # type: ignore[no-any-return]
        count, tokens = hidden.shape[:2]
        rows = torch.cat([hidden[0, :prefix], hidden[:, prefix:].flatten(0, 1)])
        chain = cast("list[Block]", list(self.blocks.values()))
        for block in chain[:-1]:
            rows = block.after_prefix(rows, prefix, count, self.mask[:tokens, :tokens])
        token = prefix + torch.arange(count) * (tokens - prefix) + last - prefix
        pooled = chain[-1].one_token_after_prefix(
            rows, token, prefix, self.mask[last, :tokens].unflatten(0, (-1, 1, 1))
        )
        return self._embedded(pooled)

    def _embedded(self, pooled: Tensor) -> Tensor:
        """(B, E) -> (B, D) unit norm."""
        normed = self.ln_final(pooled)
        if isinstance(self.text_projection, nn.Linear):
            normed = self.text_projection(normed)
        elif self.text_projection is not None:
            normed = normed @ self.text_projection
        return functional.normalize(normed, dim=-1)
