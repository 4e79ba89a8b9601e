"""Export as a workstation runs it: bundles of open_clip models, their proof, refusals, int8; needs the export
environment."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytestmark = pytest.mark.export
pytest.importorskip("open_clip", reason="the export environment has open_clip")

from conftest import MICRO  # noqa: E402

from edge_nusa.errors import DamagedError, EdgeNusaError, InputError, RefusedError, UsageError  # noqa: E402
from edge_nusa.export import graphs, models, quantize, tokenizer_file, verify, vocabulary, writer  # noqa: E402
from edge_nusa.export.sample_pictures import sample_pictures  # noqa: E402
from edge_nusa.export.settings import ExportSettings, default_settings  # noqa: E402
from edge_nusa.model.bundle import Bundle  # noqa: E402
from edge_nusa.model.shapes import VitShape  # noqa: E402
from edge_nusa.model.tokenizer import Tokenizer  # noqa: E402
from edge_nusa.model.whole_file import verify_file  # noqa: E402

TINY = {
    "embed_dim": 32,
    "vision_cfg": {"image_size": 32, "layers": 3, "width": 64, "head_width": 16, "patch_size": 16},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 48, "heads": 4, "layers": 3},
}


@pytest.fixture(scope="session")
def tiny_name(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A tiny custom model registered with open_clip, standard in everything but its size."""
    import open_clip

    folder = tmp_path_factory.mktemp("configs")
    (folder / "tiny-test-vit.json").write_text(json.dumps(TINY))
    (folder / "tiny-quick-vit.json").write_text(json.dumps({**TINY, "quick_gelu": True}))
    open_clip.add_model_config(folder)
    return "tiny-test-vit"


@pytest.fixture(scope="session")
def tiny_bundle(tiny_name: str, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """The tiny model with its last image block and last two text blocks as tails."""
    source = models.load(tiny_name, None, None, False)
    settings = ExportSettings(out=tmp_path_factory.mktemp("bundles") / "tiny", tail_blocks=1, text_blocks=2, nouns=50)
    return writer.export_bundle(source, settings, lambda part, done, total: None)


def test_the_bundle_proves_itself_within_its_tolerances(tiny_bundle: Bundle) -> None:
    measured = tiny_bundle.manifest.measured
    for name in ("image_trunk", "image_tail", "text_tail"):
        assert 0 < measured[f"largest_difference_{name}"] <= verify.TOLERANCE
    assert measured["preprocessing_grey_levels"] <= 1
    assert measured["tokenizer_strings_equal"] >= 1000
    assert tiny_bundle.matrices("image") == ["image.2.q", "image.2.k", "image.2.v", "image.2.o"]
    assert len(tiny_bundle.matrices("text")) == 8


def test_pool_and_principal_values_are_an_svd_of_the_stored_matrix(tiny_bundle: Bundle) -> None:
    for name in tiny_bundle.matrices("text"):
        pool = tiny_bundle.pools[name]
        weight = tiny_bundle.matrix(name).astype(np.float64)
        expected = np.linalg.svd(weight, compute_uv=False)
        np.testing.assert_allclose(np.concatenate([pool.principal_values, pool.tail_values]), expected, atol=1e-5)
        np.testing.assert_allclose(pool.left_basis.T @ weight @ pool.right_basis, np.diag(pool.tail_values), atol=1e-5)


def test_all_depths_and_quick_gelu_export(tiny_name: str, tmp_path: Path) -> None:
    source = models.load("tiny-quick-vit", None, None, False)
    for index, (image, text) in enumerate([(0, 0), (None, None)]):
        bundle = writer.export_bundle(
            source,
            ExportSettings(out=tmp_path / str(index), tail_blocks=image, text_blocks=text, nouns=5),
            lambda part, done, total: None,
        )
        assert bundle.manifest.text.activation == "quick_gelu"
        assert (bundle.folder / "image_tail.onnx").exists() == (image is None)


def test_a_checkpoint_file_gives_the_same_bundle_as_the_model_it_came_from(
    tiny_name: str, tiny_bundle: Bundle, tmp_path: Path
) -> None:
    source = models.load(tiny_name, None, tiny_bundle.folder / "weights.safetensors", False)
    again = writer.export_bundle(
        source,
        ExportSettings(out=tmp_path / "again", tail_blocks=1, text_blocks=2, nouns=50),
        lambda part, done, total: None,
    )
    for name in ("weights.safetensors", "basis.safetensors", "tokenizer.json", "image_trunk.onnx"):
        assert again.manifest.files[name] == tiny_bundle.manifest.files[name], name
    assert again.manifest.identity == tiny_bundle.manifest.identity, "equal inputs give equal graphs, bit for bit"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("visual.proj"), "1 tensors are missing"),
        (lambda s: s.update({"extra": np.zeros(3, np.float32)}), "the first is extra"),
        (lambda s: s.update({"visual.proj": np.zeros((2, 2), np.float32)}), "the first is visual.proj"),
        (lambda s: s.update({"visual.proj": np.full((64, 32), np.nan, np.float32)}), "NaN or infinite"),
    ],
)
def test_a_checkpoint_that_does_not_fit_is_refused(
    change: Any, message: str, tiny_name: str, tiny_bundle: Bundle, tmp_path: Path
) -> None:
    from safetensors.numpy import load_file, save_file

    state = load_file(tiny_bundle.folder / "weights.safetensors")
    change(state)
    save_file(state, tmp_path / "bad.safetensors")
    with pytest.raises(InputError, match=message):
        models.load(tiny_name, None, tmp_path / "bad.safetensors", False)


def test_a_pt_checkpoint_needs_its_flag_and_holds_tensors_only(tiny_name: str, tmp_path: Path) -> None:
    import torch

    model = models.load(tiny_name, None, None, False).model
    torch.save({"state_dict": model.state_dict()}, tmp_path / "good.pt")
    with pytest.raises(UsageError, match="--allow-pt"):
        models.load(tiny_name, None, tmp_path / "good.pt", False)
    assert models.load(tiny_name, None, tmp_path / "good.pt", True).weights.startswith("good.pt (sha256 ")
    torch.save(torch.zeros(3), tmp_path / "bare.pt")
    with pytest.raises(InputError, match="not a plain dictionary of tensors"):
        models.load(tiny_name, None, tmp_path / "bare.pt", True)
    torch.save({"state_dict": Path("/")}, tmp_path / "object.pt")
    with pytest.raises(InputError, match="more than plain tensors"):
        models.load(tiny_name, None, tmp_path / "object.pt", True)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("coca_roberta-ViT-B-32", "Hugging Face"),
        ("xlm-roberta-base-ViT-B-32", "Hugging Face"),
        ("no-such-model", "knows no model"),
    ],
)
def test_an_unsupported_model_is_refused_in_one_line(name: str, reason: str) -> None:
    with pytest.raises(UsageError, match=reason) as caught:
        models.load(name, None, None, False)
    assert "\n" not in str(caught.value)


def test_weights_trained_with_the_other_gelu_are_refused() -> None:
    with pytest.raises(UsageError, match="use the model ViT-B-32-quickgelu"):
        models.load("ViT-B-32", "openai", None, False)


def test_a_download_that_fails_says_what_to_do() -> None:
    with pytest.raises(
        InputError, match=r"loading ViT-B-32 with the pretrained tag 'laion2b_s34b_b79k' failed: .*--checkpoint"
    ):
        models.load("ViT-B-32", "laion2b_s34b_b79k", None, False)


def test_a_failed_proof_writes_no_bundle(tiny_name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verify, "TOLERANCE", 1e-12)
    source = models.load(tiny_name, None, None, False)
    with pytest.raises(EdgeNusaError, match="differs from open_clip by .* no bundle was written"):
        writer.export_bundle(
            source,
            ExportSettings(out=tmp_path / "bad", tail_blocks=0, text_blocks=1, nouns=5),
            lambda part, done, total: None,
        )
    assert list(tmp_path.iterdir()) == []


def test_a_tokenizer_with_a_wrong_merge_is_caught(tiny_bundle: Bundle, tiny_name: str) -> None:
    content = json.loads(tiny_bundle.read("tokenizer.json"))
    content["model"]["merges"].reverse()
    manifest = tiny_bundle.manifest
    ours = Tokenizer(json.dumps(content).encode(), manifest.tokenizer, manifest.text, manifest.vocab_size)
    theirs = models.load(tiny_name, None, None, False).tokenizer
    with pytest.raises(EdgeNusaError, match="tokenizer differs from open_clip's on"):
        tokenizer_file.prove_equal(ours, theirs, tokenizer_file.odd_strings(1000))


def test_settings_that_cannot_be_served_are_usage_errors(tiny_name: str, tmp_path: Path) -> None:
    source = models.load(tiny_name, None, None, False)
    for settings, message in [
        (ExportSettings(out=tmp_path / "a", tail_blocks=9, text_blocks=1), "--tail-blocks: expected 0 .. 3"),
        (
            ExportSettings(out=tmp_path / "a", tail_blocks=0, text_blocks=1, max_rank=40, pool_rank=20),
            "--rank 40 and --pool 20",
        ),
        (ExportSettings(out=tmp_path / "a", tail_blocks=0, text_blocks=1, energy_threshold=1.5), "--energy"),
        (ExportSettings(out=tmp_path, tail_blocks=0, text_blocks=1), "exists already"),
        (
            ExportSettings(out=Path(__file__).parent, tail_blocks=0, text_blocks=1, overwrite=True),
            "is not a bundle .* left alone",
        ),
        (
            ExportSettings(out=tmp_path / "a", tail_blocks=0, text_blocks=1, precision="int8"),
            "needs --calibration",
        ),
    ]:
        with pytest.raises(UsageError, match=message):
            writer.export_bundle(source, settings, lambda part, done, total: None)
    assert list(tmp_path.iterdir()) == []


def test_micro_where_its_folder_is_not_says_so_and_takes_a_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(models, "MICRO", tmp_path / "gone")
    with pytest.raises(InputError, match="micro: expected its weights in .*gone, found no such folder.*--checkpoint"):
        models.load("micro", None, None, False)
    loaded = models.load("micro", None, MICRO / "weights.safetensors", False)
    assert loaded.weights.startswith("weights.safetensors (sha256 ")


def test_a_precision_or_weights_that_are_not_offered_are_usage_errors(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--precision: expected fp32, fp16, int8 or auto, got 'fp8'"):
        ExportSettings(out=tmp_path / "a", precision="fp8")
    models.check_weights("ViT-B-32", None, None, True)
    models.check_weights("micro", None, None, False)
    for pretrained, is_random in ((None, False), ("openai", True)):
        with pytest.raises(UsageError, match="expected one of --pretrained TAG, --checkpoint FILE or --random"):
            models.check_weights("ViT-B-32", pretrained, None, is_random)


def test_micro_is_exported_as_it_lies_here_and_others_by_the_general_defaults(tmp_path: Path) -> None:
    micro, shipped = default_settings("micro", tmp_path), Bundle.open(MICRO).manifest
    assert (micro.tail_blocks, micro.text_blocks, micro.precision) == (None, None, shipped.precision)
    assert (micro.max_rank, micro.pool_rank) == (shipped.method.max_rank["text"], shipped.method.pool_rank["text"])
    assert default_settings("ViT-B-32", tmp_path) == ExportSettings(out=tmp_path)


def test_a_flipped_bit_in_any_file_is_found(tiny_bundle: Bundle, tmp_path: Path) -> None:
    for name, record in tiny_bundle.manifest.files.items():
        data = bytearray((tiny_bundle.folder / name).read_bytes())
        data[len(data) // 3] ^= 1
        (tmp_path / name).write_bytes(data)
        with pytest.raises(DamagedError, match="expected SHA-256"):
            verify_file(tmp_path, name, record)


def test_int8_is_taken_or_refused_by_its_measured_loss(tiny_name: str, tmp_path: Path) -> None:
    from PIL import Image

    for index, picture in enumerate(sample_pictures()):
        folder = tmp_path / "calibration" / ("one" if index % 2 else "two")
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.asarray(picture)).save(folder / f"{index}.png")
    source = models.load(tiny_name, None, None, False)
    common: dict[str, Any] = {"tail_blocks": 0, "text_blocks": 1, "nouns": 5, "calibration": tmp_path / "calibration"}
    taken = writer.export_bundle(
        source,
        ExportSettings(out=tmp_path / "int8", precision="int8", max_loss=100, **common),
        lambda part, done, total: None,
    )
    assert taken.manifest.precision == "int8"
    assert 0.9 < taken.manifest.measured["int8_mean_cosine"] <= 1
    with pytest.raises(RefusedError, match=r"an int8 trunk loses .* no bundle was written"):
        writer.export_bundle(
            source,
            ExportSettings(out=tmp_path / "no", precision="int8", max_loss=-1, **common),
            lambda part, done, total: None,
        )
    auto = writer.export_bundle(
        source,
        ExportSettings(out=tmp_path / "auto", precision="auto", max_loss=-1, **common),
        lambda part, done, total: None,
    )
    assert auto.manifest.precision == "fp32"


def test_an_int8_trunk_whose_loss_is_no_number_is_refused_and_of_auto_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loss = quantize.Loss(float("nan"), float("nan"), 50, 50, 1)
    monkeypatch.setattr(quantize, "quantized", lambda model: model)
    monkeypatch.setattr(quantize, "measure", lambda *given: loss)
    bundle, settings = Bundle.open(MICRO), default_settings("ViT-B-32", tmp_path / "b")
    manifest = bundle.manifest

    def tried(precision: Any) -> Any:
        asked = replace(settings, precision=precision, calibration=tmp_path)
        return writer._try_int8(tmp_path, bundle, asked, manifest)

    with pytest.raises(RefusedError, match="an int8 trunk loses more than can be measured .* no bundle was written"):
        tried("int8")
    kept, figures = tried("auto")
    assert kept is manifest
    assert figures == {"int8_float_accuracy": 50, "int8_int8_accuracy": 50, "int8_taps_cosine": 1}


def test_the_vocabulary_is_some_thousands_of_different_nouns() -> None:
    names = vocabulary.nouns()
    assert len(names) == len(set(names)) >= 2000
    assert all(name.isalpha() for name in names)


@pytest.mark.slow
def test_micro_is_rebuilt_from_its_own_weights(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "edge_nusa.cli.main",
        "export",
        "micro",
        "--out",
        "again",
        "--format",
        "json",
        "-q",
    ]
    result = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, env={**os.environ, "COLUMNS": "80"}, check=False
    )
    assert result.returncode == 0, result.stderr
    again, shipped = Bundle.open(tmp_path / "again"), Bundle.open(MICRO)
    for name in ("weights.safetensors", "basis.safetensors", "tokenizer.json", "vocabulary.txt"):
        assert again.manifest.files[name] == shipped.manifest.files[name], name
    assert json.loads(result.stdout)["measured"]["tokenizer_strings_equal"] >= 1000


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ViT-B-32", "ViT-B-16", "ViT-B-32-quickgelu"])
def test_real_architectures_export_with_random_weights(name: str, tmp_path: Path) -> None:
    source = models.load(name, None, None, False)
    bundle = writer.export_bundle(
        source,
        ExportSettings(out=tmp_path / "b", tail_blocks=1, text_blocks=1, nouns=5),
        lambda part, done, total: None,
    )
    assert bundle.manifest.measured["largest_difference_image_trunk"] <= verify.TOLERANCE
    assert bundle.manifest.measured["largest_difference_text_tail"] <= verify.TOLERANCE


def test_trunk_only_graphs_have_no_tokens_output() -> None:
    source = models.load("ViT-B-32", None, None, False)
    assert isinstance(source.image, VitShape)
    names = [graph.name for graph in graphs.trunk_and_tail_graphs(source.image, source.text, source.vocab_size)]
    assert names == ["image_trunk", "text_trunk", "text_tail"]
