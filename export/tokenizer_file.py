"""Writes a model's tokenizer as a `tokenizer.json`, CLIP's from its byte pairs, and proves it equal to open_clip's."""

from __future__ import annotations

import gzip
import random
from pathlib import Path
from typing import Any

from edge_nusa.errors import EdgeNusaError
from edge_nusa.export import hub_tokenizer
from edge_nusa.export.source import Source
from edge_nusa.model.shapes import TextShape
from edge_nusa.model.tokenizer import Tokenizer

PATTERN = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
"""How CLIP cuts text into words before byte pairs (Radford et al. 2021)."""
MAX_MERGES = 49152 - 256 - 2
"""open_clip reads at most so many merges of a vocabulary file."""
ODD = [
    "naïve café",
    "ﬁne ligatures",
    "ＦＵＬＬ width",
    "“curly” ‘quotes’",
    "Ãºtil mojibake",
    "&amp;lt;b&amp;gt; &eacute;",
    "日本語のラベル",
    "🙂 emoji 👩‍👩‍👧",
    "e\u0301 composed",
    "\u200bzero width",
    "a\u00a0b",
    "İstanbul ẞ ς",
    "১২৩ ٤٥",
    "x\r\ny\tz",
    "\x1b[31mred\x1b[0m",
    "don't we'll I'd",
    "½ ² ™ ①",
    "مرحبا بالعالم",
    "Ǆ ǆ ŉ",
    "—–-_",
    "$100.00 (50%)",
    "<script>alert(1)</script>",
    "part 4711",
    "",
    " ",
    "a" * 500,
    "\ufeffbom",
    "a̐éö̲",
]


def content(source: Source) -> bytes:
    """The `tokenizer.json` of a model's tokenizer."""
    if source.bpe_path is None:
        return hub_tokenizer.content(source.tokenizer, source.text.size)
    return tokenizer_json(source.bpe_path)


def tokenizer_json(bpe_path: Path) -> bytes:
    """The `tokenizers` file of a gzipped merges file in open_clip's format; ids are open_clip's."""
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers

    lines = gzip.decompress(bpe_path.read_bytes()).decode("utf-8").split("\n")
    merges = [tuple(line.split()) for line in lines[1 : MAX_MERGES + 1] if line]
    from open_clip.tokenizer import bytes_to_unicode

    letters = list(bytes_to_unicode().values())
    words = [*letters, *(letter + "</w>" for letter in letters), *("".join(pair) for pair in merges)]
    pairs = [(first, second) for first, second in merges]
    model = models.BPE(vocab={word: i for i, word in enumerate(words)}, merges=pairs, end_of_word_suffix="</w>")
    tokenizer = Tokenizer(model)
    split = pre_tokenizers.Split(Regex(PATTERN), "removed", invert=True)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    return bytes(tokenizer.to_str().encode())


def odd_strings(count: int, seed: int = 0) -> list[str]:
    """`count` strings: hand-picked odd ones, then random mixtures of scripts, marks, digits and punctuation."""
    generator = random.Random(seed)
    ranges = [
        (0x20, 0x7E),
        (0xA0, 0x24F),
        (0x300, 0x36F),
        (0x370, 0x52F),
        (0x5D0, 0x6FF),
        (0x900, 0x97F),
        (0x2000, 0x206F),
        (0x2100, 0x218F),
        (0x3040, 0x30FF),
        (0x4E00, 0x4FFF),
        (0xAC00, 0xAD00),
        (0xFB00, 0xFB06),
        (0xFF01, 0xFF5E),
        (0x1F600, 0x1F64F),
    ]
    strings = list(ODD)
    while len(strings) < count:
        spans = generator.choices(ranges, k=generator.randint(1, 4))
        words = [
            "".join(chr(generator.randint(*generator.choice(spans))) for _ in range(generator.randint(1, 9)))
            for _ in range(generator.randint(1, 6))
        ]
        strings.append(generator.choice([" ", "  ", "-", ", ", "\n"]).join(words))
    return strings[:count]


def prove_equal(ours: Tokenizer, theirs: Any, strings: list[str]) -> None:
    """Raises EdgeNusaError at the first string whose ids, or whose pooled position, differ from open_clip's."""
    for string in strings:
        expected = theirs([string])
        found = ours.whole([string])[0].tolist()
        position = int(ours([string])[1][0])
        if found != expected[0].tolist() or position != pooled_position(expected, ours.text):
            raise EdgeNusaError(
                f"the exported tokenizer differs from open_clip's on {string!r}: expected {expected[0].tolist()[:12]}, "
                f"found {found[:12]}; no bundle was written"
            )


def pooled_position(ids: Any, text: TextShape) -> int:
    """The position that open_clip's own pooling takes of token ids (1, T), a torch tensor."""
    import torch
    from open_clip.transformer import text_global_pool

    positions = torch.arange(text.positions)[None, :, None]
    pool = "last" if text.pool == "class" else text.pool
    return int(text_global_pool(positions, ids, pool, text.eos_id)[0, 0])
