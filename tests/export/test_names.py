"""How a model is named: folders, the hub, configurations of one's own, near misses, and tags."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from conftest import run_cli

pytestmark = pytest.mark.export
open_clip = pytest.importorskip("open_clip", reason="the export environment has open_clip")

import torch  # noqa: E402
from open_clip.model import CLIP, CustomTextCLIP  # noqa: E402
from safetensors.torch import save_file  # noqa: E402

from edge_nusa.errors import InputError, UsageError  # noqa: E402
from edge_nusa.export import configurations, models, named  # noqa: E402
from edge_nusa.files.json_record import Origin, Record  # noqa: E402
from edge_nusa.model.bundle import Bundle  # noqa: E402

MODEL: dict[str, Any] = {
    "embed_dim": 32,
    "quick_gelu": True,
    "vision_cfg": {"image_size": 32, "layers": 2, "width": 64, "head_width": 16, "patch_size": 16},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 48, "heads": 4, "layers": 2},
}
PREPROCESS = {"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.25, 0.5], "interpolation": "bilinear", "resize_mode": "squash"}
OFFLINE = {"HF_HUB_OFFLINE": "1"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model's folder as open_clip pushes it to the hub: configuration and weights."""
    path = tmp_path_factory.mktemp("models") / "small-clip"
    path.mkdir()
    torch.manual_seed(5)
    (path / "open_clip_config.json").write_text(json.dumps({"model_cfg": MODEL, "preprocess_cfg": PREPROCESS}))
    save_file(CLIP(**MODEL).state_dict(), path / "open_clip_model.safetensors")
    return path


def test_a_folder_is_exported_from_end_to_end(folder: Path, tmp_path: Path) -> None:
    done = run_cli(
        "export",
        f"local-dir:{folder}",
        "--out",
        tmp_path / "b",
        "--text-blocks",
        "1",
        "--nouns",
        "5",
        "--format",
        "json",
    )
    assert done.returncode == 0, done.stderr
    manifest = Bundle.open(tmp_path / "b").manifest
    assert manifest.model == "small-clip", "not the path, which is this machine's"
    assert manifest.weights.startswith("open_clip_model.safetensors (sha256 ")
    assert manifest.vit.activation == manifest.text.activation == "quick_gelu"
    shown = manifest.preprocessing.to_dict()
    assert {name: shown[name] for name in PREPROCESS} == PREPROCESS
    answer = run_cli("status", "--bundle", tmp_path / "b", "--state", tmp_path / "s", "--format", "json")
    assert answer.returncode == 0, answer.stderr


def test_a_folder_gives_the_model_that_open_clip_makes_of_it(folder: Path) -> None:
    ours = models.load(f"local-dir:{folder}", None, None, False)
    theirs = open_clip.create_model(f"local-dir:{folder}")
    for name, tensor in theirs.state_dict().items():
        assert torch.equal(ours.model.state_dict()[name], tensor), name


@pytest.mark.parametrize("is_plain", [True, False])
def test_a_configuration_of_ones_own_goes_with_a_checkpoint(is_plain: bool, folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "tiny-clip.json"
    path.write_text(json.dumps(MODEL if is_plain else {"model_cfg": MODEL, "preprocess_cfg": PREPROCESS}))
    source = models.opened(models.Asked(name="", checkpoint=folder / "open_clip_model.safetensors", config=path))
    assert (source.name, source.weights[:27]) == ("tiny-clip", "open_clip_model.safetensors")
    assert source.text.activation == "quick_gelu"
    assert source.preprocessing.resize_mode == ("shortest" if is_plain else "squash")
    assert models.opened(models.Asked(name="mine", config=path, is_random=True)).name == "mine"


def test_a_custom_text_tower_of_ones_own_is_built(tmp_path: Path) -> None:
    config = {**MODEL, "custom_text": True}
    (tmp_path / "c.json").write_text(json.dumps(config))
    found = named.find("", tmp_path / "c.json")
    configurations.check_size(found.config, found.name)
    assert isinstance(named.create(found, None), CustomTextCLIP)


def test_nothing_stays_registered_with_open_clip(folder: Path) -> None:
    before = open_clip.list_models()
    models.opened(models.Asked(name=f"local-dir:{folder}", is_random=True))
    assert open_clip.list_models() == before


def test_random_weights_and_a_checkpoint_win_over_the_folders_own(folder: Path, tmp_path: Path) -> None:
    assert models.opened(models.Asked(name=f"local-dir:{folder}", is_random=True)).weights == "random (seed 0)"
    (tmp_path / "other.safetensors").write_bytes((folder / "open_clip_model.safetensors").read_bytes())
    found = models.load(f"local-dir:{folder}", None, tmp_path / "other.safetensors", False)
    assert found.weights.startswith("other.safetensors")


def test_weights_are_looked_for_in_open_clips_order(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "open_clip_config.json").write_text(json.dumps(MODEL))
    found = named.find(f"local-dir:{tmp_path}")
    with pytest.raises(InputError, match="expected weights such as open_clip_model.safetensors .* or --random"):
        named.own_weights(found, allow_pt=False)
    for name in ("z.safetensors", "model.safetensors", "open_clip_pytorch_model.bin", "open_clip_model.safetensors"):
        (tmp_path / name).touch()
        assert named.own_weights(found, allow_pt=False).name == name
    (tmp_path / "a.safetensors").touch()
    assert named.own_weights(found, allow_pt=False).name == "open_clip_model.safetensors"


def test_weights_of_a_folder_that_are_pickled_need_the_flag(tmp_path: Path) -> None:
    (tmp_path / "open_clip_config.json").write_text(json.dumps(MODEL))
    torch.save(CLIP(**MODEL).state_dict(), tmp_path / "open_clip_pytorch_model.bin")
    with pytest.raises(UsageError, match="needs --allow-pt"):
        models.load(f"local-dir:{tmp_path}", None, None, False)
    assert models.load(f"local-dir:{tmp_path}", None, None, True).weights.startswith("open_clip_pytorch_model.bin")


@pytest.mark.parametrize("name", ["local-dir:", "local-dir:no/such/folder"])
def test_a_folder_that_is_not_there_is_one_clear_line(name: str) -> None:
    with pytest.raises(InputError, match=f"{name}: expected a folder, found none; pass local-dir:PATH with open_clip"):
        models.load(name, None, None, False)


def test_a_folder_without_a_configuration_says_how_to_pass_one(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="open_clip_config.json: expected this file .*--config .*--checkpoint"):
        models.load(f"local-dir:{tmp_path}", None, None, False)


def test_a_hub_that_is_out_of_reach_is_one_line_with_the_next_step(tmp_path: Path) -> None:
    name = "hf-hub:timm/vit_betwixt_patch32_clip_224.tinyclip_laion400m"
    command = ["export", name, "--out", str(tmp_path / "b")]
    done = run_cli(*command, env={**OFFLINE, "HF_HOME": str(tmp_path)})
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"edge-nusa: {name}: expected open_clip_config.json from the hub, which could not")
    assert done.stderr.endswith("and pass it with local-dir:PATH\n") and done.stderr.count("\n") == 1
    assert list(tmp_path.glob("b*")) == []


@pytest.mark.parametrize("name", ["hf-hub:", "hf-hub:model", "hf-hub:/model", "hf-hub:a/b/c"])
def test_a_name_that_no_hub_has_is_a_usage_error(name: str) -> None:
    with pytest.raises(UsageError, match=f"{name}: expected hf-hub:ORG/MODEL"):
        models.load(name, None, None, False)


def changed(**fields: Any) -> bytes:
    """MODEL with some fields changed, as a file's bytes."""
    return json.dumps({**MODEL, **fields}).encode()


def in_vision(**fields: Any) -> bytes:
    """MODEL with some fields of its image tower changed."""
    return changed(vision_cfg={**MODEL["vision_cfg"], **fields})


def prepared(**fields: Any) -> bytes:
    """MODEL with such a preprocessing."""
    return json.dumps({"model_cfg": MODEL, "preprocess_cfg": fields}).encode()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "expected JSON, found something else"),
        (b"\xff\xfe", "expected JSON, found something else"),
        (b"[1]", "expected a JSON object, found \\[1\\]"),
        (b"[" * 100_000, "expected JSON, found something else"),
        (b'{"a":' * 50 + b"1" + b"}" * 50, "nested deeper than 32"),
        (b'{"embed_dim": NaN}', "NaN is no number"),
        (b'{"embed_dim": 1, "embed_dim": 2}', "a key stands in it twice"),
        (b" " * ((1 << 20) + 1), "expected"),
        (b"{}", "embed_dim: expected this field of open_clip's, found None"),
        (b'{"model_cfg": 3}', "model_cfg: expected an object, found 3"),
        (changed(colour=3), "colour: expected one of open_clip's 10 fields, found 3"),
        (changed(embed_dim="32"), "embed_dim: expected a whole number from 0 to 1000000, found '32'"),
        (changed(embed_dim=True), "embed_dim: expected a whole number"),
        (changed(embed_dim=1_000_001), "embed_dim: expected a whole number from 0 to 1000000, found 1000001"),
        (changed(quick_gelu=1), "quick_gelu: expected true or false, found 1"),
        (changed(text_cfg=[]), "text_cfg: expected an object, found \\[\\]"),
        (changed(init_logit_bias="x"), "init_logit_bias: expected a number from -1000000 to 1000000 or null"),
        (in_vision(width=-1), "vision_cfg: width: expected a whole number from 0 to 1000000 or null, found -1"),
        (in_vision(width=1e3), "vision_cfg: width: expected a whole number"),
        (
            in_vision(layers=1001),
            "layers: expected a list of 4 whole numbers up to 1000 or a whole number from 0 to 1000 or null",
        ),
        (in_vision(layers=[1, 2, 3]), "layers: expected a list of 4 whole numbers"),
        (in_vision(image_size=1025), "image_size: .*a whole number from 0 to 1024 or null, found 1025"),
        (in_vision(depth=3), "vision_cfg: depth: expected one of open_clip's"),
        (in_vision(pool_type=3), "pool_type: expected a text or null, found 3"),
        (in_vision(act_kwargs=[]), "act_kwargs: expected an object or null"),
        (prepared(mean=[0, 0]), "preprocess_cfg: mean: expected a list of 3 entries"),
        (prepared(std=[0, 0, 0]), "std\\[0\\]: expected a number from 0.001 to 1, found 0"),
        (prepared(interpolation="nearest"), "interpolation: expected one of bicubic, bilinear, found 'nearest'"),
        (prepared(resize_mode="crop"), "resize_mode: expected one of shortest, longest, squash"),
        (prepared(size=[224]), "size: expected a list of 2 entries"),
        (prepared(size=0), "size: expected a whole number from 1 to 1024"),
        (prepared(fill_color=256), "fill_color: expected a whole number from 0 to 255"),
        (prepared(mode="L"), "mode: expected one of RGB"),
        (prepared(colour=1), "colour: expected one of size, mode, mean"),
    ],
)
def test_a_configuration_that_is_none_is_one_clear_line(content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "c.json").write_bytes(content)
    with pytest.raises(InputError, match=message) as said:
        models.opened(models.Asked(name="", config=tmp_path / "c.json", is_random=True))
    text = str(said.value)
    assert text.startswith(f"{tmp_path / 'c.json'}") and "\n" not in text and len(text) < 600
    assert "pass a configuration as open_clip writes it" in text


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (in_vision(width=65), "c: expected a model that open_clip can build, found one that it cannot"),
        (in_vision(head_width=0), "expected a model that open_clip can build"),
        (in_vision(patch_size=64), "expected a model that open_clip can build"),
        (in_vision(width=1_000_000), "expected at most 10000000000 parameters, found 24000838433457"),
    ],
)
def test_a_model_that_cannot_be_built_is_refused_before_memory_is_taken(
    content: bytes, message: str, tmp_path: Path
) -> None:
    (tmp_path / "c.json").write_bytes(content)
    with pytest.raises(InputError, match=message) as said:
        models.opened(models.Asked(name="", config=tmp_path / "c.json", is_random=True))
    assert "\n" not in str(said.value)


def test_a_configuration_that_is_not_there_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="c.json: expected a configuration, found No such file or directory"):
        configurations.read(tmp_path / "c.json")


@pytest.mark.parametrize("name", open_clip.list_models())
def test_each_configuration_of_open_clips_own_is_a_sound_one(name: str) -> None:
    config = open_clip.get_model_config(name)
    configurations.checked(Record(config, Origin(name, "", InputError)))


def test_null_is_as_good_as_no_preprocessing(tmp_path: Path) -> None:
    (tmp_path / "c.json").write_bytes(prepared(mean=None, size=[32, 48], fill_color=255))
    assert configurations.read(tmp_path / "c.json").preprocess == {"size": (32, 48), "fill_color": 255}


def test_a_configuration_downloads_no_weights_of_a_part() -> None:
    text = {**MODEL["text_cfg"], "hf_model_pretrained": True}
    vision = {**MODEL["vision_cfg"], "timm_model_pretrained": True}
    record = Record({**MODEL, "text_cfg": text, "vision_cfg": vision}, Origin("c", "", InputError))
    assert configurations.checked(record).model == MODEL


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("vit-b-32", "did you mean ViT-B-32?"),
        ("ViT-B/32", "did you mean ViT-B-32?"),
        ("ViTB32", "did you mean ViT-B-32?"),
        ("mobileclip2_s0", "did you mean MobileCLIP2-S0?"),
        ("micros", "did you mean micro?"),
        ("wkcn/TinyCLIP-ViT-40M", "did you mean hf-hub:wkcn/TinyCLIP-ViT-40M?"),
    ],
)
def test_a_near_miss_names_what_was_meant(name: str, meant: str) -> None:
    with pytest.raises(UsageError, match=r"knows no model .*; `edge-nusa export --list` shows") as said:
        models.load(name, None, None, False)
    assert f"; {meant};" in str(said.value)


def test_a_folder_that_is_passed_as_a_name_is_known_as_one(folder: Path) -> None:
    with pytest.raises(UsageError, match=f"did you mean local-dir:{folder}\\?"):
        models.load(str(folder), None, None, False)


def test_a_name_far_from_all_is_not_guessed() -> None:
    with pytest.raises(UsageError, match="open_clip knows no model 'sausage'; `edge-nusa"):
        models.load("sausage", None, None, False)


def test_a_model_without_a_tag_is_answered_with_its_tags() -> None:
    with pytest.raises(
        UsageError, match=r"expected one of .*; ViT-B-32 has the tags laion2b_e16, laion2b_s34b_b79k, "
    ) as e:
        models.check_weights("ViT-B-32", None, None, False)
    assert "openai" not in str(e.value), "its weights are QuickGELU's"
    assert "and 9 more (--list --format json)" in str(e.value)
    with pytest.raises(UsageError, match="; ViT-B-32-256 has the tags datacomp_s34b_b86k$"):
        models.check_weights("ViT-B-32-256", None, None, False)
    with pytest.raises(UsageError, match="no pretrained weights that fit RN50; those of RN50-quickgelu do$"):
        models.check_weights("RN50", None, None, False)
    with pytest.raises(UsageError, match="no pretrained weights that fit ViT-S-16$"):
        models.check_weights("ViT-S-16", None, None, False)


def test_a_tag_that_the_model_lacks_is_answered_with_the_nearest() -> None:
    with pytest.raises(UsageError, match=r"has no such tag, did you mean laion2b_s34b_b79k\?; ViT-B-32 has the tags"):
        models.load("ViT-B-32", "laion2b-s34b", None, False)
    with pytest.raises(UsageError, match="has no such tag; .* a file of weights is passed with --checkpoint"):
        models.load("ViT-B-32", "weights.pt", None, False)


@pytest.mark.parametrize("name", ["local-dir:x", "hf-hub:a/b"])
def test_a_folder_and_the_hub_have_weights_and_no_tags(name: str) -> None:
    models.check_weights(name, None, None, False)
    models.check_weights(name, None, None, True)
    with pytest.raises(UsageError, match="--pretrained: expected a tag for one of open_clip's own names"):
        models.check_weights(name, "openai", None, False)
    with pytest.raises(UsageError, match="expected one of --pretrained TAG, --checkpoint FILE or --random"):
        models.check_weights(name, None, Path("w"), True)


def test_a_configuration_of_ones_own_needs_weights() -> None:
    models.check_weights("", None, Path("w"), False, Path("c.json"))
    for name in ("", "micro", "local-dir:x"):
        with pytest.raises(UsageError, match="expected one of --pretrained TAG, --checkpoint FILE or --random"):
            models.check_weights(name, None, None, False, Path("c.json"))
    with pytest.raises(UsageError, match="--pretrained: expected a tag"):
        models.check_weights("", "openai", None, False, Path("c.json"))


def test_the_command_takes_a_configuration_without_a_name(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "TinyCLIP.json").write_text(json.dumps(MODEL))
    command = ["export", "--config", "TinyCLIP.json", "--checkpoint", str(folder / "open_clip_model.safetensors")]
    done = run_cli(*command, "--out", "b", "--text-blocks", "0", "--nouns", "5", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert Bundle.open(tmp_path / "b").manifest.model == "TinyCLIP"
