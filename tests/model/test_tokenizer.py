"""Text to ids: cleaning, where texts are cut, and which place is pooled."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from conftest import MICRO

from edge_nusa.errors import DamagedError, InputError
from edge_nusa.files.json_record import Origin, Record
from edge_nusa.model.bundle import Bundle
from edge_nusa.model.shapes import TextShape
from edge_nusa.model.text_encoder import TextEncoder
from edge_nusa.model.tokenizer import Tokenizer, TokenizerSpec, clean

SHAPE = TextShape(width=8, layers=1, heads=2, mlp_width=16, embed_dim=8, tail_blocks=1, size=6)
FILE = TokenizerSpec(kind="file", clean="whitespace")


def words(size: int = 6, **changes: Any) -> bytes:
    """A tokenizer of five words, whose end has the id 1 and whose padding has the id 0."""
    from tokenizers import Tokenizer as Written
    from tokenizers import models, pre_tokenizers, processors

    ids = {"<pad>": 0, "</s>": 1, "a": 2, "dog": 3, "[SEP]": 4, "<unk>": 5}
    written = Written(models.WordLevel(ids, unk_token="<unk>"))
    written.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    written.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    written.enable_truncation(size)
    written.enable_padding(length=size, pad_id=0, pad_token="<pad>")
    return (json.dumps({**json.loads(written.to_str()), **changes})).encode()


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ("whitespace", "It's Ünïque_Word, &c"),
        ("lower", "it's ünïque_word, &c"),
        ("canonicalize", "its ünïque word c"),
    ],
)
def test_a_text_is_cleaned_as_its_model_wants_it(how: Any, expected: str) -> None:
    assert clean("  It&#39;s \tÜnïque_Word,  &amp;amp;c ", how) == expected


@pytest.mark.parametrize(
    ("how", "expected"), [("whitespace", "Don't (x)"), ("lower", "don't (x)"), ("canonicalize", "dont x")]
)
def test_plain_texts_are_cleaned_alike(how: Any, expected: str) -> None:
    assert clean(" Don't  (x)", how) == expected


@pytest.mark.parametrize(
    ("changes", "length", "last"),
    [
        ({}, 4, [3, 1]),  # the largest id, a [SEP]
        ({"pool": "eos", "eos_id": 1}, 5, [4, 2]),
        ({"pool": "first"}, 1, [0, 0]),
        ({"pool": "last"}, 6, [5, 5]),
        ({"pool": "class"}, 6, [6, 6]),
        ({"causal": False}, 6, [3, 1]),
        ({"causal": False, "pool": "eos", "eos_id": 1}, 6, [4, 2]),
        ({"causal": False, "pool": "first"}, 6, [0, 0]),
    ],
)
def test_texts_are_cut_after_the_pooled_place_where_nothing_behind_it_counts(
    changes: dict[str, Any], length: int, last: list[int]
) -> None:
    tokenizer = Tokenizer(words(), FILE, replace(SHAPE, **changes), 6)
    ids, found = tokenizer(["a dog a [SEP]", "a dog"])
    assert found.tolist() == last
    whole = [[2, 3, 2, 4, 1, 0], [2, 3, 1, 0, 0, 0]]
    assert ids.tolist() == [row[:length] for row in whole]
    assert ids.flags.c_contiguous


def test_a_long_text_keeps_its_end_and_a_separator_becomes_nothing() -> None:
    tokenizer = Tokenizer(words(), replace(FILE, separator=4), replace(SHAPE, pool="eos", eos_id=1), 6)
    assert tokenizer.whole(["a dog [SEP] a dog a dog", "[SEP]"]).tolist() == [[2, 3, 0, 2, 3, 1], [0, 1, 0, 0, 0, 0]]


def test_no_text_has_no_ids() -> None:
    ids, last = Tokenizer(words(), FILE, SHAPE, 6)([])
    assert (ids.shape, last.shape) == ((0, 6), (0,))


def test_an_id_that_the_table_lacks_is_refused_and_the_last_of_the_table_is_not() -> None:
    assert Tokenizer(words(), FILE, SHAPE, 4).whole(["a dog"]).max() == 3
    with pytest.raises(InputError, match="the text 'a dog': expected ids below 3, .* found 3; use other words"):
        Tokenizer(words(), FILE, SHAPE, 3)(["a dog"])


@pytest.mark.parametrize("changes", [{"truncation": None}, {"padding": None}])
def test_a_file_that_does_not_fit_the_context_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(DamagedError, match=r"expected texts cut and padded to 6 tokens, found .*None.*; export the"):
        Tokenizer(words(**changes), FILE, SHAPE, 6)
    with pytest.raises(DamagedError, match=r"expected texts cut and padded to 6 tokens, found \(7, 7\)"):
        Tokenizer(words(7), FILE, SHAPE, 6)


def test_clips_own_file_must_leave_two_ids_for_start_and_end() -> None:
    bundle = Bundle.open(MICRO)
    data, manifest = bundle.read("tokenizer.json"), bundle.manifest
    Tokenizer(data, manifest.tokenizer, manifest.text, 5000)
    with pytest.raises(DamagedError, match="tokenizer.json: expected at most 4093 tokens, found 4094; export"):
        Tokenizer(data, manifest.tokenizer, manifest.text, 4095)


def test_clips_texts_begin_and_end_with_the_two_ids_behind_the_files_own() -> None:
    tokenizer = TextEncoder(Bundle.open(MICRO)).tokenizer
    ids, last = tokenizer(["dog", "dog " * 99])
    assert ids.shape == (2, 32) and last.tolist() == [2, 31]
    assert ids[:, 0].tolist() == [4094, 4094] and ids[[0, 1], last].tolist() == [4095, 4095]
    assert (ids[0, 3:] == 0).all()
    with_open = Tokenizer(
        tokenizer._encoder.to_str().encode(), tokenizer.spec, replace(tokenizer.text, causal=False), 4096
    )
    np.testing.assert_array_equal(with_open(["dog"])[0], ids[:1])


@pytest.mark.parametrize(
    "spec", [TokenizerSpec(), FILE, TokenizerSpec(kind="file", clean="canonicalize", separator=102)]
)
def test_a_spec_is_read_as_it_was_written(spec: TokenizerSpec) -> None:
    assert TokenizerSpec.from_record(Record(spec.to_dict(), Origin("manifest.json", "export it again"))) == spec


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"kind": "words"}, "kind: expected one of clip, file"),
        ({"clean": "upper"}, "clean: expected one of lower, whitespace, canonicalize"),
        ({"separator": -1}, "separator: expected a whole number from 0"),
        ({"more": 1}, "expected the fields"),
    ],
)
def test_a_spec_that_no_export_writes_is_refused(changes: dict[str, Any], expected: str) -> None:
    record = Record({**TokenizerSpec().to_dict(), **changes}, Origin("manifest.json", "export it again"))
    with pytest.raises(DamagedError, match=expected):
        TokenizerSpec.from_record(record)
