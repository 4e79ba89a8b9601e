"""Tokenizers of the kinds that models take from hubs, made here: written as tokenizer.json and equal to the original
on a thousand odd strings."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.export
pytest.importorskip("open_clip", reason="the export environment has open_clip")
pytest.importorskip("transformers", reason="open_clip reads the tokenizers of hubs with transformers")

import tokenizers  # noqa: E402
from tokenizers import decoders, models, normalizers, pre_tokenizers, processors, trainers  # noqa: E402

from edge_nusa.errors import EdgeNusaError, InputError, UsageError  # noqa: E402
from edge_nusa.export import hub_tokenizer, tokenizer_file, vocabulary  # noqa: E402
from edge_nusa.export import models as export_models  # noqa: E402
from edge_nusa.model.shapes import TextShape  # noqa: E402
from edge_nusa.model.tokenizer import Tokenizer  # noqa: E402

CONTEXT, VOCABULARY = 12, 2000
SHAPE = TextShape(width=8, layers=1, heads=2, mlp_width=16, embed_dim=8, tail_blocks=1, size=CONTEXT)


@dataclass(frozen=True)
class Made:
    """A tokenizer's folder, and the entries of a text configuration and of a text shape that go with it."""

    folder: Path
    text: dict[str, Any]
    shape: dict[str, Any]


def corpus() -> list[str]:
    return [f"a photo of a {noun}." for noun in vocabulary.nouns()[:600]] + tokenizer_file.ODD


def unigram(special: list[str], after: str, pad: str, unknown: str = "<unk>") -> Any:
    """T5's, mT5's and XLM's kind."""
    tokenizer = tokenizers.Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFKC(), normalizers.Replace(tokenizers.Regex(" {2,}"), " ")]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    trainer = trainers.UnigramTrainer(vocab_size=900, special_tokens=special, unk_token=unknown, show_progress=False)
    return finished(tokenizer, trainer, after, pad, unknown)


def byte_fallback(special: list[str]) -> Any:
    """Gemma's kind."""
    tokenizer = tokenizers.Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>", fuse_unk=True))
    tokenizer.normalizer = normalizers.Replace(" ", "▁")
    tokenizer.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    bytes_too = [*special, *(f"<0x{value:02X}>" for value in range(256))]
    trainer = trainers.BpeTrainer(vocab_size=1500, special_tokens=bytes_too, show_progress=False, limit_alphabet=200)
    return finished(tokenizer, trainer, "$A <eos>", "<pad>", "<unk>", special)


def word_pieces(special: list[str]) -> Any:
    """BERT's kind."""
    tokenizer = tokenizers.Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(vocab_size=1200, special_tokens=special, show_progress=False)
    return finished(tokenizer, trainer, "[CLS] $A [SEP]", "[PAD]", "[UNK]", sep_token="[SEP]", cls_token="[CLS]")


def finished(
    tokenizer: Any, trainer: Any, after: str, pad: str, unknown: str, only: list[str] | None = None, **more: str
) -> Any:
    from transformers import PreTrainedTokenizerFast

    tokenizer.train_from_iterator(corpus(), trainer)
    marks = [word for word in after.split() if word != "$A"]
    tokenizer.post_processor = processors.TemplateProcessing(
        single=after, special_tokens=[(mark, tokenizer.token_to_id(mark)) for mark in marks]
    )
    eos = {} if "cls_token" in more else {"eos_token": marks[-1]}
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token=pad, unk_token=unknown, padding_side="right", **eos, **more
    )


CANONICAL = {"tokenizer_kwargs": {"clean": "canonicalize"}}
OPEN = {"causal": False, "pool": "last"}
KINDS: dict[str, tuple[Any, dict[str, Any], dict[str, Any]]] = {
    "siglip": (lambda: unigram(["<pad>", "</s>", "<unk>"], "$A </s>", "</s>"), CANONICAL, OPEN),
    "siglip2": (lambda: byte_fallback(["<pad>", "<eos>", "<bos>", "<unk>"]), CANONICAL, OPEN),
    "clipa": (
        lambda: word_pieces(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]),
        {"tokenizer_kwargs": {"strip_sep_token": True}},
        OPEN,
    ),
    "xlm-v": (
        lambda: unigram(["<s>", "<pad>", "</s>", "<unk>"], "<s> $A </s>", "<pad>"),
        {},
        {"pool": "eos", "eos_id": 2},
    ),
    "mt5": (
        lambda: unigram(["<pad>", "</s>", "<unk>"], "$A </s>", "<pad>"),
        CANONICAL,
        {"pool": "eos", "eos_id": 1},
    ),
}


@pytest.fixture(scope="module", params=KINDS)
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Made:
    make, text, shape = KINDS[request.param]
    folder = tmp_path_factory.mktemp(request.param)
    make().save_pretrained(folder)
    own = {"hf_tokenizer_name": f"somebody/{request.param}", "context_length": CONTEXT, "vocab_size": VOCABULARY}
    return Made(folder, {**own, **text}, shape)


def opened(made: Made) -> tuple[Any, Tokenizer]:
    """open_clip's own and the board's."""
    theirs = hub_tokenizer.load("a-model", made.text, made.folder)
    data = hub_tokenizer.content(theirs, CONTEXT)
    return theirs, Tokenizer(data, hub_tokenizer.spec(theirs, made.text), replace(SHAPE, **made.shape), VOCABULARY)


def test_a_thousand_odd_strings_have_the_ids_and_the_pooled_place_of_the_original(made: Made) -> None:
    theirs, ours = opened(made)
    tokenizer_file.prove_equal(ours, theirs, tokenizer_file.odd_strings(1000))


def test_long_texts_are_cut_and_short_ones_padded_as_the_original_does(made: Made) -> None:
    theirs, ours = opened(made)
    texts = ["dog", "dog " * 40, "", "Red_Lorry, seen from ABOVE!"]
    assert ours.whole(texts).tolist() == theirs(texts).tolist()
    ids, last = ours(texts)
    assert ids.shape[1] == (CONTEXT if ours.text.is_whole else last.max() + 1)


def test_another_cleaning_than_the_originals_is_caught(made: Made) -> None:
    theirs, ours = opened(made)
    other = replace(ours.spec, clean="lower" if ours.spec.clean == "canonicalize" else "canonicalize")
    wrong = Tokenizer(hub_tokenizer.content(theirs, CONTEXT), other, ours.text, VOCABULARY)
    with pytest.raises(EdgeNusaError, match="tokenizer differs from open_clip's on .* no bundle was written"):
        tokenizer_file.prove_equal(wrong, theirs, tokenizer_file.odd_strings(1000))


def test_the_board_reads_it_without_transformers(made: Made, tmp_path: Path) -> None:
    theirs, ours = opened(made)
    (tmp_path / "tokenizer.json").write_bytes(hub_tokenizer.content(theirs, CONTEXT))
    program = f"""
import sys
from pathlib import Path
from edge_nusa.model.shapes import TextShape
from edge_nusa.model.tokenizer import Tokenizer, TokenizerSpec
shape = {ours.text!r}
data = Path("tokenizer.json").read_bytes()
print(Tokenizer(data, {ours.spec!r}, shape, {VOCABULARY})(["a red lorry"])[0].tolist())
assert not {{"transformers", "torch", "open_clip", "huggingface_hub"}} & set(sys.modules), sys.modules
"""
    run = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert run.stdout.strip() == str(ours(["a red lorry"])[0].tolist())


def test_ids_that_the_models_table_lacks_are_refused(made: Made) -> None:
    theirs, ours = opened(made)
    small = Tokenizer(hub_tokenizer.content(theirs, CONTEXT), ours.spec, ours.text, 4)
    with pytest.raises(InputError, match=r"the text 'a dog': expected ids below 4, .* found \d+; use other words"):
        small(["a dog"])


def test_a_hub_that_cannot_be_reached_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)  # it would try again for a minute
    text = {"hf_tokenizer_name": "nobody-at-all/no-such-tokenizer", "context_length": CONTEXT}
    with pytest.raises(
        InputError,
        match=r"loading the tokenizer nobody-at-all/no-such-tokenizer of a-model failed: .*pass their folder with "
        r"--tokenizer DIR$",
    ) as caught:
        hub_tokenizer.load("a-model", text, None)
    assert "\n" not in str(caught.value)


def test_a_folder_that_is_not_there_or_not_wanted_is_refused(tmp_path: Path) -> None:
    text = {"hf_tokenizer_name": "somebody/siglip"}
    with pytest.raises(
        InputError, match=r"--tokenizer: expected a folder with the files of somebody/siglip, found none"
    ):
        hub_tokenizer.load("a-model", text, tmp_path / "gone")
    with pytest.raises(InputError, match=r"loading the tokenizer .* of a-model failed"):
        hub_tokenizer.load("a-model", text, tmp_path)
    for name in ("ViT-B-32", "micro"):
        with pytest.raises(UsageError, match=f"--tokenizer: expected none, since {name} has its own.*; leave it out"):
            export_models.opened(export_models.Asked(name=name, tokenizer=tmp_path))
