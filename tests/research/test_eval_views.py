"""Views: what the harness feeds its learners is what the product's own extraction and text encoder give, computed
once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import MICRO
from eval_pictures import draw, draw_sets
from PIL import Image

from edge_nusa.device.asking.features import Trunk, extract, limits
from edge_nusa.device.learning import tails
from edge_nusa.errors import InputError
from edge_nusa.model import sessions
from edge_nusa.model.bundle import Bundle
from edge_nusa.model.text_encoder import TextEncoder
from edge_nusa.research.data.datasets import DataSet, find_sets
from edge_nusa.research.data.sets import content_digest
from edge_nusa.research.data.views import View, Viewer
from edge_nusa.research.rivals import inversion

CLOSE = 1e-5
"""The trunk's batches differ, and with them the order of sums."""


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    torch.set_num_threads(1)
    return Bundle.open(MICRO)


@pytest.fixture
def dataset(tmp_path: Path) -> DataSet:
    draw_sets(tmp_path / "data", {"cloth": ["red stripes", "blue dots"]})
    return find_sets(tmp_path / "data", None)[0]


def made(viewer: Viewer, dataset: DataSet, needed: Sequence[int] | None = None) -> View:
    return viewer.view(
        dataset,
        np.arange(len(dataset.pictures)) if needed is None else np.array(needed),
        lambda what, done, total: None,
    )


def paths_of(dataset: DataSet) -> list[Path]:
    return [picture for picture in dataset.pictures if isinstance(picture, Path)]


def closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on no image trunk can be opened."""
    opened = sessions.open_session

    def refuse(bundle: Bundle, name: str, *rest: object) -> object:
        assert name != "image_trunk", "the trunk was opened"
        return opened(bundle, name, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(sessions, "open_session", refuse)


def test_a_view_holds_what_the_product_extracts_from_the_same_files(
    bundle: Bundle, dataset: DataSet, tmp_path: Path
) -> None:
    view = made(Viewer(bundle, tmp_path / "cache", 1, 6), dataset)
    session = sessions.open_session(bundle, "image_trunk", 1)
    expected = extract(
        Trunk(session, bundle), paths_of(dataset), limits(bundle, None, 5), True, lambda done, total: None
    )
    assert len(expected.kept) == len(dataset.pictures) == 16
    assert np.abs(view.embeddings(np.arange(16)) - expected.embedding).max() < CLOSE
    assert np.abs(view.taps[view.place] - expected.taps).max() < 100 * CLOSE
    assert view.tokens is not None and expected.tokens is not None
    assert np.allclose(view.tokens[view.place], expected.tokens, rtol=2e-3, atol=1e-3)
    assert (view.labels, view.classes.tolist()) == (dataset.labels, dataset.classes.tolist())


def test_pictures_are_told_apart_and_each_has_its_own_row(bundle: Bundle, dataset: DataSet, tmp_path: Path) -> None:
    view = made(Viewer(bundle, tmp_path / "cache", 1, 0), dataset)
    likeness = view.embeddings(np.arange(16)) @ view.embeddings(np.arange(16)).T
    assert sorted(view.place) == list(range(16))
    assert np.abs(np.diag(likeness) - 1).max() < CLOSE and likeness[~np.eye(16, dtype=bool)].max() < 1 - 1e-4


def test_only_the_pictures_asked_for_have_a_row(bundle: Bundle, dataset: DataSet, tmp_path: Path) -> None:
    view = made(Viewer(bundle, tmp_path / "cache", 1, 0), dataset, [3, 12, 4])
    assert np.flatnonzero(view.place >= 0).tolist() == [3, 4, 12]
    assert view.readable(np.array([0, 12, 3, 5])).tolist() == [12, 3]
    whole = made(Viewer(bundle, tmp_path / "other", 1, 0), dataset)
    assert np.abs(view.embeddings(np.array([12, 4])) - whole.embeddings(np.array([12, 4]))).max() < CLOSE


def test_a_second_view_reads_the_cache_and_opens_no_trunk(
    bundle: Bundle, dataset: DataSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = made(Viewer(bundle, tmp_path / "cache", 1, 0), dataset)
    closed(monkeypatch)
    again = made(Viewer(bundle, tmp_path / "cache", 1, 0), dataset)
    for name in ("embedding", "taps", "place", "anchors"):
        assert np.array_equal(getattr(before, name), getattr(again, name))
    with pytest.raises(AssertionError, match="the trunk was opened"):
        made(Viewer(bundle, tmp_path / "empty", 1, 0), dataset)


def test_only_a_picture_whose_content_changed_is_computed_again(
    bundle: Bundle, dataset: DataSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = made(Viewer(bundle, tmp_path / "cache", 1, 0), dataset)
    draw(paths_of(dataset)[5], (0, 200, 0), 99)
    seen: list[int] = []
    outputs = Viewer._outputs

    def counted(self: Viewer, batch: np.ndarray) -> dict[str, np.ndarray]:
        seen.append(len(batch))
        return outputs(self, batch)

    monkeypatch.setattr(Viewer, "_outputs", counted)
    after = made(Viewer(bundle, tmp_path / "cache", 1, 0), dataset)
    assert seen == [1]
    same = np.delete(np.arange(16), 5)
    assert np.array_equal(before.embeddings(same), after.embeddings(same))
    assert np.abs(before.embeddings(np.array([5])) - after.embeddings(np.array([5]))).max() > 1e-3


def test_a_file_of_the_same_content_shares_a_row(bundle: Bundle, dataset: DataSet, tmp_path: Path) -> None:
    paths_of(dataset)[7].write_bytes(paths_of(dataset)[2].read_bytes())
    view = made(Viewer(bundle, tmp_path / "cache", 1, 0), dataset)
    assert view.place[7] == view.place[2] and len(set(view.place.tolist())) == 15


def test_unreadable_pictures_have_no_place_and_the_others_keep_theirs(
    bundle: Bundle, dataset: DataSet, tmp_path: Path
) -> None:
    whole = made(Viewer(bundle, tmp_path / "cache", 1, 0), dataset)
    paths = paths_of(dataset)
    paths[0].write_bytes(b"no picture")
    paths[15].write_bytes(paths[15].read_bytes()[:60])
    paths[9].unlink()
    for cache in ("new", "cache"):
        view = made(Viewer(bundle, tmp_path / cache, 1, 0), dataset)
        sound = view.readable(np.arange(16))
        assert sound.tolist() == [i for i in range(16) if i not in (0, 9, 15)]
        assert np.abs(view.embeddings(sound) - whole.embeddings(sound)).max() < CLOSE


def test_a_set_without_any_readable_picture_is_refused(bundle: Bundle, dataset: DataSet, tmp_path: Path) -> None:
    for path in paths_of(dataset):
        path.write_bytes(b"")
    with pytest.raises(InputError, match="cloth: none of its 16 pictures could be read"):
        made(Viewer(bundle, tmp_path / "cache", 1, 0), dataset)


def test_pixels_that_come_as_arrays_give_what_their_file_gives(
    bundle: Bundle, dataset: DataSet, tmp_path: Path
) -> None:
    arrays = replace(dataset, pictures=[np.asarray(Image.open(path).convert("RGB")) for path in paths_of(dataset)])
    by_file, by_array = (
        made(Viewer(bundle, tmp_path / name, 1, 0), each) for name, each in (("a", dataset), ("b", arrays))
    )
    assert np.abs(by_file.embeddings(np.arange(16)) - by_array.embeddings(np.arange(16))).max() < CLOSE


def test_part_renumbers_its_classes_in_the_order_given(bundle: Bundle, tmp_path: Path) -> None:
    draw_sets(tmp_path / "data", {"cloth": ["red", "blue", "green"]})
    view = made(Viewer(bundle, tmp_path / "cache", 1, 0), find_sets(tmp_path / "data", None)[0])
    part = view.part("step 1", np.array([2, 0]))
    assert (part.name, part.labels) == ("step 1", (view.labels[2], view.labels[0]))
    assert np.array_equal(part.classes, np.array([1, -1, 0])[view.classes])
    assert np.array_equal(part.anchors, view.anchors[[2, 0]]) and len(part.hidden) == len(view.hidden)
    for (states, last), (all_states, all_last) in zip(part.hidden, view.hidden, strict=True):
        assert np.array_equal(states, all_states[[2, 0]]) and np.array_equal(last, all_last[[2, 0]])
    smaller = part.part("step 2", np.array([1]))
    assert np.array_equal(smaller.classes, np.array([0, -1, -1])[view.classes])
    assert part.place is view.place


@pytest.mark.parametrize(
    "templates", [("a photo of a {}.",), ("a {} texture", "the {}", "a long and blurry photo of a {} on a wall.")]
)
def test_anchors_and_hidden_states_are_the_text_encoders(
    templates: tuple[str, ...], bundle: Bundle, dataset: DataSet, tmp_path: Path
) -> None:
    view = made(Viewer(bundle, tmp_path / "cache", 1, 0), replace(dataset, templates=templates))
    text = TextEncoder(bundle, 1)
    tail = text.tail({})
    each = [text.anchors(tail, dataset.labels, template) for template in templates]
    mean = np.sum(each, axis=0)
    assert np.abs(view.anchors - mean / np.linalg.norm(mean, axis=1, keepdims=True)).max() < CLOSE
    assert len(view.hidden) == len(templates)
    for (states, last), alone in zip(view.hidden, each, strict=True):
        assert np.abs(sessions.run(tail, {"hidden": states, "last": last})[0] - alone).max() < CLOSE


@pytest.mark.parametrize("blocks", [1, 4, 6, 99])
def test_tokens_in_front_of_the_last_blocks_lead_to_the_frozen_embedding(
    blocks: int, bundle: Bundle, dataset: DataSet, tmp_path: Path
) -> None:
    view = made(Viewer(bundle, tmp_path / "cache", 1, blocks), dataset, [0, 9, 15])
    assert view.tokens is not None
    tail = tails.build_tail(bundle, "image", {})
    with torch.no_grad():
        hidden = torch.from_numpy(view.tokens[view.place[[0, 9, 15]]].astype(np.float32))
        for block in list(tail.blocks.values())[-blocks:]:  # type: ignore[operator,union-attr]
            hidden = block(hidden)
        found = torch.nn.functional.normalize(tail.ln_post(hidden[:, 0]) @ tail.proj, dim=-1)  # type: ignore[operator]
    assert np.abs(found.numpy() - view.embeddings(np.array([0, 9, 15]))).max() < 5e-3, (
        "float16 tokens keep about three digits"
    )


def test_caches_of_other_depths_do_not_mix(bundle: Bundle, dataset: DataSet, tmp_path: Path) -> None:
    deep, shallow, none = (made(Viewer(bundle, tmp_path / "cache", 1, blocks), dataset, [0, 1]) for blocks in (6, 2, 0))
    assert none.tokens is None and deep.tokens is not None and shallow.tokens is not None
    assert np.abs(deep.tokens[deep.place[[0, 1]]] - shallow.tokens[shallow.place[[0, 1]]]).max() > 0.1


def test_what_is_turned_back_into_pictures_is_looked_up_in_the_same_cache(
    bundle: Bundle, dataset: DataSet, tmp_path: Path
) -> None:
    view = made(Viewer(bundle, tmp_path / "cache", 1, 0), dataset)
    known = inversion.Looker(bundle, tmp_path / "cache").known
    assert set(known) == {content_digest(path) for path in paths_of(dataset)}
    for path, place in zip(paths_of(dataset), view.place, strict=True):
        assert np.array_equal(known[content_digest(path)], view.taps[place])
