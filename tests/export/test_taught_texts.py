"""Models whose texts pass whole, or whose tokenizer comes from a hub, from the export to a lesson and an answer."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytestmark = pytest.mark.export
pytest.importorskip("open_clip", reason="the export environment has open_clip")

import torch  # noqa: E402
from conftest import answer_of, run_cli  # noqa: E402
from torch.nn import functional  # noqa: E402

from edge_nusa.device.demo.pictures import DemoPictures  # noqa: E402
from edge_nusa.device.learning import tails  # noqa: E402
from edge_nusa.export import models, verify, writer  # noqa: E402
from edge_nusa.export.settings import ExportSettings  # noqa: E402
from edge_nusa.export.source import Source  # noqa: E402
from edge_nusa.knowledge.knowledge import nothing  # noqa: E402
from edge_nusa.knowledge.recipes import DEVICE  # noqa: E402
from edge_nusa.model.bundle import Bundle  # noqa: E402
from edge_nusa.model.text_encoder import TextEncoder  # noqa: E402

VISION = {"image_size": 32, "layers": 1, "width": 64, "head_width": 16, "patch_size": 16}
TEXT = {"vocab_size": 49408, "width": 48, "heads": 4, "layers": 3}
OPEN = {"no_causal_mask": True}
FROM_HUB = {"hf_tokenizer_name": "somebody/words", "vocab_size": 900, "context_length": 16}
KINDS: dict[str, dict[str, Any]] = {
    "mobileclip": {"text_cfg": {**TEXT, **OPEN, "context_length": 24}},
    "last": {"text_cfg": {**TEXT, "context_length": 20, "pool_type": "last", "proj_bias": True}, "custom_text": True},
    "siglip": {
        "text_cfg": {
            **TEXT,
            **OPEN,
            **FROM_HUB,
            "pool_type": "last",
            "proj_bias": True,
            "norm_kwargs": {"eps": 1e-6},
            "act_kwargs": {"approximate": "tanh"},
            "tokenizer_kwargs": {"clean": "canonicalize"},
        },
        "custom_text": True,
        "init_logit_bias": -10,
    },
    "worldwide": {"text_cfg": {**TEXT, **FROM_HUB, "pool_type": "eos", "eos_id": 1}},
}


@dataclass(frozen=True)
class Exported:
    source: Source
    bundle: Bundle


def hub_folder(folder: Path) -> Path:
    """A tokenizer of words as a hub holds one."""
    transformers: Any = pytest.importorskip("transformers", reason="open_clip reads hubs' tokenizers with transformers")
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    letters = [chr(code) for code in range(0x20, 0x7F)]
    ids = {
        word: index for index, word in enumerate(["<pad>", "</s>", "<unk>", *letters, *(f"##{one}" for one in letters)])
    }
    made = Tokenizer(models.WordPiece(ids, unk_token="<unk>"))
    made.normalizer = normalizers.NFKC()
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    made.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=made, pad_token="<pad>", eos_token="</s>", unk_token="<unk>", padding_side="right"
    ).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module", params=KINDS)
def exported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    import open_clip

    folder = tmp_path_factory.mktemp(request.param)
    name = f"tiny-texts-{request.param}"
    (folder / f"{name}.json").write_text(json.dumps({"embed_dim": 32, "vision_cfg": VISION, **KINDS[request.param]}))
    open_clip.add_model_config(folder / f"{name}.json")
    has_hub = "hf_tokenizer_name" in KINDS[request.param]["text_cfg"]
    source = models.opened(models.Asked(name=name, tokenizer=hub_folder(folder / "tokenizer") if has_hub else None))
    with torch.no_grad():
        for parameter_name, parameter in source.model.named_parameters():
            if "visual" not in parameter_name and parameter.ndim:
                parameter.add_(0.1 * torch.randn(parameter.shape))
    settings = ExportSettings(out=folder / "bundle", text_blocks=2, nouns=40, max_rank=8)
    return Exported(source, writer.export_bundle(source, settings, lambda part, done, total: None))


def test_the_export_proves_tokenizer_and_tower(exported: Exported) -> None:
    measured = exported.bundle.manifest.measured
    assert measured["tokenizer_strings_equal"] == 1000
    assert 0 < measured["largest_difference_text_tail"] <= verify.TOLERANCE


@torch.no_grad()
def test_the_boards_embeddings_are_open_clips(exported: Exported) -> None:
    text, texts = TextEncoder(exported.bundle, 1), ["a photo of a dog.", "Red_Lorry!", "", "a " * 50, "part 4711"]
    model: Any = exported.source.model
    expected = functional.normalize(model.encode_text(exported.source.tokenizer(texts)), dim=1).numpy()
    np.testing.assert_allclose(text.embeddings(text.tail({}), texts), expected, atol=1e-5)
    one_by_one = [text.embeddings(text.tail({}), [one])[0] for one in texts]
    np.testing.assert_allclose(one_by_one, expected, atol=1e-5)
    assert text.embeddings(text.tail({}), []).shape == (0, 32)


def test_a_trained_tail_and_the_graph_with_its_merged_weights_agree(exported: Exported) -> None:
    bundle, known = exported.bundle, nothing(exported.bundle, DEVICE)
    tail: Any = tails.build_tail(bundle, "text", {})
    adapted = tails.attach_adapters(tail, "text", bundle, known)
    assert len(adapted) == 8
    with torch.no_grad():
        for one in adapted.values():
            one.adapter.core.normal_(std=0.3)
    text = TextEncoder(bundle, 1)
    hidden, last = text.hidden(["a photo of a dog.", "a photo of a rusty bolt.", "nut"])
    with torch.no_grad():
        expected = tail.eval()(torch.from_numpy(hidden), torch.from_numpy(last)).numpy()
        shared = tail.after_prefix(torch.from_numpy(hidden[:2]), torch.from_numpy(last[:2]), 3).numpy()
    merged = replace(known, cores=tails.folded(bundle, known, adapted)).merged(bundle)
    found = text.through(text.tail(merged), hidden, last)
    np.testing.assert_allclose(found, expected, atol=1e-4)
    np.testing.assert_allclose(shared, expected[:2], atol=1e-4)
    assert np.abs(found - text.through(text.tail({}), hidden, last)).max() > 0.01


@pytest.mark.parametrize("exported", ["mobileclip", "siglip"], indirect=True)
def test_labels_are_learned_and_answered(exported: Exported, pictures: DemoPictures, tmp_path: Path) -> None:
    common = ("--bundle", exported.bundle.folder, "--state", tmp_path / "state")
    for label in ("brick wall", "gravel"):
        taught = answer_of(
            "learn", "--images", pictures.taught[label], "--label", label, "--force", "--steps", "20", *common
        )
    # the second label can be told apart from the first, so that its text is trained
    assert taught["text"] in ("kept", "dropped") and taught["training"]["kept_step"] > 0
    done = run_cli("predict", pictures.asked["gravel"], *common)
    assert (done.returncode, done.stderr) == (0, "")
    first = json.loads(done.stdout.splitlines()[0])
    assert sorted(row["label"] for row in first["labels"]) == ["brick wall", "gravel"]
