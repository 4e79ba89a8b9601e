"""The image trunk for vendors' compilers: what is written of a bundle that is there and beside a new one, that it is
the bundle's own, quantized forms and their gate, and what cannot be handed over."""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytestmark = pytest.mark.export
pytest.importorskip("open_clip", reason="the export environment has open_clip")

import evil_bundles  # noqa: E402
import onnx  # noqa: E402
import onnx_bytes  # noqa: E402
import onnx_ir  # noqa: E402
import onnxruntime  # noqa: E402
from conftest import MICRO, THREE, bytes_of, run_cli  # noqa: E402
from handed_over_graphs import LACKING, check_handed_over, same_as  # noqa: E402

from edge_nusa.cli.app import app  # noqa: E402
from edge_nusa.device.demo.pictures import DemoPictures  # noqa: E402
from edge_nusa.device.model import Model  # noqa: E402
from edge_nusa.errors import DamagedError, EdgeNusaError, MissingPackageError, RefusedError, UsageError  # noqa: E402
from edge_nusa.export import quantize  # noqa: E402
from edge_nusa.export.npu import fixed, forms, hand_over, operators  # noqa: E402
from edge_nusa.export.sample_pictures import sample_pictures  # noqa: E402
from edge_nusa.files.file_record import file_sha256  # noqa: E402
from edge_nusa.knowledge.fit import UNIT  # noqa: E402
from edge_nusa.model.bundle import Bundle, embedded_bundle  # noqa: E402
from edge_nusa.model.contract import contract  # noqa: E402
from edge_nusa.model.foreign_trunk import ForeignTrunk  # noqa: E402
from edge_nusa.model.preprocessing import pixels  # noqa: E402

FLOAT, A8W8, A16W8 = "image_trunk.b1.onnx", "image_trunk.b1.a8w8.onnx", "image_trunk.b1.a16w8.onnx"
RECORD = "image_trunk.npu.json"
TINY = {
    "embed_dim": 32,
    "vision_cfg": {"image_size": 32, "layers": 2, "width": 64, "head_width": 16, "patch_size": 16},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 48, "heads": 4, "layers": 1},
}


def real_pixels(bundle: Bundle) -> np.ndarray:
    return np.stack([pixels(picture, bundle.manifest.preprocessing) for picture in sample_pictures()])


@pytest.fixture(scope="module")
def calibration(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("calibration")
    for index, picture in enumerate(sample_pictures()):
        place = folder / ("flower" if index % 2 else "temple")
        place.mkdir(exist_ok=True)
        picture.save(place / f"{index}.png")
    return folder


@pytest.fixture(scope="module")
def micro(tmp_path_factory: pytest.TempPathFactory, calibration: Path) -> Path:
    """A copy of `micro`, its trunk handed over into its own folder by the command, where there is no torch."""
    folder = tmp_path_factory.mktemp("micro") / "bundle"
    shutil.copytree(MICRO, folder)
    without = tmp_path_factory.mktemp("without")
    for name in ("torch", "open_clip", "timm"):
        (without / f"{name}.py").write_text(f"raise ImportError('no {name} here')\n")
    path = f"{without}:{Path(__file__).parents[2]}"
    words = ("--npu", "--bundle", folder, "--out", folder, "--calibration", calibration, "--max-loss", "100")
    done = run_cli("export", *words, env={"PYTHONPATH": path})
    assert done.returncode == 0, done.stderr
    steps = [line.split(" s  ")[1] for line in done.stderr.splitlines()]
    assert steps == ["image_trunk.b1", "a8w8", "a16w8"], "nothing else is said"
    assert set(json.loads(done.stdout)["files"]) == {FLOAT, A8W8, A16W8}
    return folder


@pytest.mark.parametrize("folder", [MICRO, embedded_bundle()], ids=["micro", "lite"])
def test_a_bundles_trunk_is_one_file_that_compilers_take_and_gives_what_the_trunk_gives(folder: Path) -> None:
    bundle = Bundle.open(folder)
    model = fixed.fixed_trunk(bundle)
    check_handed_over(model, contract(bundle.manifest, "image_trunk"))
    same_as(model, folder / "image_trunk.onnx", real_pixels(bundle))
    assert fixed.fixed_trunk(bundle).SerializeToString() == model.SerializeToString(), "the same bytes each time"


def test_the_command_writes_it_beside_a_bundle_that_stays_what_it_was_and_needs_no_torch(micro: Path) -> None:
    assert Bundle.open(micro).manifest == Bundle.open(MICRO).manifest
    ours = bytes_of(micro)
    assert {name: data for name, data in ours.items() if ".b1." not in name and name != RECORD} == bytes_of(MICRO)
    assert onnx.load(str(micro / FLOAT)) == fixed.fixed_trunk(Bundle.open(MICRO))


def test_the_record_says_which_trunk_it_is_what_goes_in_and_each_files_own_hash_and_precision(micro: Path) -> None:
    found, manifest = json.loads((micro / RECORD).read_text()), Bundle.open(MICRO).manifest
    assert found["format_version"] == 1 and found["opset"] == 17
    assert (found["model"], found["identity"]) == ("micro", manifest.identity.sha256)
    assert found["trunk_sha256"] == manifest.files["image_trunk.onnx"].sha256
    assert found["input"] == {"name": "pixels", "shape": [1, 3, 64, 64], "dtype": "float32"}
    assert found["outputs"] == {"embedding": [1, 128], "taps": [1, 576]}
    spec = manifest.preprocessing
    assert found["preprocessing"]["mean_of_255"] == pytest.approx([255 * one for one in spec.mean], abs=1e-4)
    assert found["preprocessing"]["std_of_255"] == pytest.approx([255 * one for one in spec.std], abs=1e-4)
    precisions = {name: entry["precision"] for name, entry in found["files"].items()}
    assert precisions == {FLOAT: "fp32", A8W8: "a8w8", A16W8: "a16w8"}
    for name, entry in found["files"].items():
        assert entry["sha256"] == file_sha256(micro / name) and entry["bytes"] == (micro / name).stat().st_size
    assert len({entry["sha256"] for entry in found["files"].values()}) == 3
    assert 0 <= found["files"][FLOAT]["measured"]["largest_difference_taps"] <= 1e-5
    assert 0.98 < found["files"][A8W8]["measured"]["taps_cosine"] < 1
    assert found["refused"] == {}


def test_quantized_forms_compute_their_products_in_whole_numbers_of_8_and_16_bits(micro: Path) -> None:
    kinds = {A8W8: onnx.TensorProto.UINT8, A16W8: onnx.TensorProto.UINT16}
    bundle = Bundle.open(MICRO)
    expected = onnxruntime.InferenceSession(str(micro / FLOAT)).run(None, {"pixels": real_pixels(bundle)[:1]})
    for name, kind in kinds.items():
        model = onnx.load(str(micro / name))
        assert {one.domain for one in model.opset_import} == {node.domain for node in model.graph.node} == {""}
        made_by = {output: node for node in model.graph.node for output in node.output}
        types = {one.name: one.data_type for one in model.graph.initializer}
        products = [node for node in model.graph.node if node.op_type in ("Conv", "MatMul", "Gemm")]
        for node in products:
            first, second = (made_by[one] for one in list(node.input)[:2])
            assert first.op_type == second.op_type == "DequantizeLinear", node.name
            assert types[first.input[2]] == kind and types[second.input[2]] in (kind, onnx.TensorProto.INT8)
        assert len([node for node in products if types[made_by[node.input[1]].input[2]] != kind]) > 30, "weights: 8"
        assert (micro / name).stat().st_size < 0.3 * (micro / FLOAT).stat().st_size
        found = onnxruntime.InferenceSession(str(micro / name)).run(None, {"pixels": real_pixels(bundle)[:1]})
        assert 0.99 < float((found[0] * expected[0]).sum()) < 1 - 1e-7


def test_convolutions_are_quantized_with_what_lies_between_them() -> None:
    bundle = Bundle.open(embedded_bundle())
    model = forms.quantized(fixed.fixed_trunk(bundle), "a8w8", real_pixels(bundle)[:2])
    made_by = {output: node.op_type for node in model.graph.node for output in node.output}
    added = [node for node in model.graph.node if node.op_type == "Add"]
    quantized = [node for node in added if {made_by.get(one) for one in node.input} == {"DequantizeLinear"}]
    assert len(quantized) >= 9, "EfficientNet-Lite0 adds what goes round a block nine times"


def test_a_form_that_loses_too_much_is_not_written_and_said_with_its_figure(
    micro: Path, calibration: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    shutil.copytree(micro, out)
    wanted: dict[str, Any] = {"out": out, "calibration": calibration, "max_loss": -1.0}
    with pytest.raises(UsageError, match=rf"{FLOAT} exists already; choose another --out or pass --overwrite"):
        hand_over.hand_over(Bundle.open(MICRO), hand_over.Wanted(**wanted), lambda part, done, total: None)
    assert (out / A8W8).exists(), "a refusal before the work changes nothing"
    done = run_cli(
        *("export", "--npu", "--bundle", MICRO, "--out", out, "--calibration", calibration, "--max-loss", "-1"),
        *("--overwrite", "--format", "human"),
    )
    assert done.returncode == 0, done.stderr
    for form in ("a8w8", "a16w8"):
        assert f"{form} was not written: it loses 0." in done.stdout
    assert "mean cosine 0.99" in done.stdout and "more than --max-loss -1" in done.stdout
    assert (out / FLOAT).exists() and not (out / A8W8).exists() and not (out / A16W8).exists()
    record = json.loads((out / RECORD).read_text())
    assert set(record["files"]) == {FLOAT} and set(record["refused"]) == {"a8w8", "a16w8"}


def test_a_new_bundle_gets_it_beside_its_own_files_and_keeps_its_identity(tmp_path: Path) -> None:
    (tmp_path / "tiny.json").write_text(json.dumps({"model_cfg": TINY, "preprocess_cfg": {}}))
    words = ("--config", tmp_path / "tiny.json", "--random", "--text-blocks", "1", "--nouns", "5", "-q")
    done = run_cli("export", *words, "--npu", "--out", tmp_path / "b")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["npu"]["out"] == str(tmp_path / "b") and set(told["npu"]["files"]) == {FLOAT}
    bundle = Bundle.open(tmp_path / "b")
    assert not {FLOAT, RECORD} & set(bundle.manifest.files)
    assert told["npu"]["identity"] == bundle.manifest.identity.sha256
    model = onnx.load(str(tmp_path / "b" / FLOAT))
    check_handed_over(model, contract(bundle.manifest, "image_trunk"))
    assert "Erf" in {node.op_type for node in model.graph.node}
    same_as(model, tmp_path / "b" / "image_trunk.onnx", real_pixels(bundle))


@pytest.mark.parametrize("precision", ["int8", "auto"])
def test_an_int8_trunk_is_not_handed_over(precision: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    asked = run_cli("export", "lite", "--npu", "--precision", precision, "--calibration", tmp_path, "--out", out)
    assert asked.returncode == 2 and "expected --precision fp32 or fp16, since" in asked.stderr
    assert f"found {precision}" in asked.stderr and not out.exists()


def test_the_trunk_of_an_int8_bundle_is_refused() -> None:
    bundle = Bundle(MICRO, replace(Bundle.open(MICRO).manifest, precision="int8"))
    with pytest.raises(RefusedError, match=r"expected a float trunk to hand over, found an int8 one.*--precision fp32"):
        fixed.fixed_trunk(bundle)


MEAN = onnx_bytes.node("ReduceMean", ["pixels", "axes"], ["mean"], onnx_bytes.attribute("keepdims", 0, 2))
ONE = onnx_bytes.tensor("s1", np.array([1]))
STRANGE = {
    "2 x Cast": [
        onnx_bytes.node("Cast", ["mean"], ["whole"], onnx_bytes.attribute("to", 7, 2)),
        onnx_bytes.node("Cast", ["whole"], ["last"], onnx_bytes.attribute("to", 1, 2)),
    ],
    "others .*Mish": [onnx_bytes.node("Mish", ["mean"], ["last"])],
    "others .*noop_with_empty_axes": [
        onnx_bytes.node("ReduceMax", ["mean"], ["last"], onnx_bytes.attribute("noop_with_empty_axes", 1, 2))
    ],
    "none of what Unique gives": [
        onnx_bytes.node("Unique", ["mean"], ["some"]),
        onnx_bytes.node("ReduceMean", ["some"], ["last"], onnx_bytes.attribute("keepdims", 0, 2)),
    ],
}
"""What is found -> what a trunk does with a number of each picture."""


@pytest.mark.parametrize("found", STRANGE)
def test_a_trunk_that_no_compiler_takes_is_refused_with_what_is_the_matter(found: str, tmp_path: Path) -> None:
    last = onnx_bytes.node("Reshape", ["last", "s1"], ["scale"])
    graph = evil_bundles.trunk([MEAN, *STRANGE[found], last], "scale", [ONE])
    folder = evil_bundles.bundle(tmp_path / "b", {"image_trunk": graph})
    with pytest.raises(RefusedError, match=rf"image_trunk.onnx: the image trunk cannot be handed over.*found {found}"):
        fixed.fixed_trunk(Bundle.open(folder))


def test_more_weights_than_a_file_holds_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    assert fixed.LARGEST_BYTES == 2**31 - 2**20
    monkeypatch.setattr(fixed, "LARGEST_BYTES", 10 << 20)
    with pytest.raises(RefusedError, match=r"expected at most 10 MiB of weights, .*, found 10 MiB; choose a smaller"):
        fixed.fixed_trunk(Bundle.open(MICRO))


@pytest.mark.parametrize(("factor", "is_refused"), [(1 + 5e-6, False), (1 + 2e-5, True)])
def test_a_trunk_that_differs_by_more_than_a_hundred_thousandth_is_not_written(
    factor: float, is_refused: bool, micro: Path
) -> None:
    model = onnx.load(str(micro / FLOAT))
    last = next(node for node in model.graph.node if "taps" in node.output)
    last.output[0] = "taps.before"
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.float32(factor), "factor"))
    model.graph.node.append(onnx.helper.make_node("Mul", ["taps.before", "factor"], ["taps"]))
    bundle = Bundle.open(MICRO)
    if is_refused:
        with pytest.raises(EdgeNusaError, match=r"expected the trunk .* own taps within 1e-05, found 2.*e-05; nothing"):
            hand_over.differences(bundle, model)
    else:
        assert 4e-6 < hand_over.differences(bundle, model)["largest_difference_taps"] < 7e-6


def test_where_to_write_must_be_said() -> None:
    done = run_cli("export", "--npu")
    assert done.returncode == 2 and "export --npu: expected --out DIR for the trunk's files" in done.stderr
    assert run_cli("export", "--out", "x").returncode == 2


@pytest.mark.parametrize("package", ["sklearn", "onnxscript"])
def test_a_package_that_is_missing_is_named_with_what_installs_it(
    package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingPackageError, match=rf'--npu needs .*{package}.*`pip install "edge-nusa\[npu\]"`'):
        app(["export", "--npu", "--bundle", str(MICRO), "--out", str(tmp_path / "o")], standalone_mode=False)
    assert not (tmp_path / "o").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            "lite --bundle b",
            "--bundle: expected no MODEL beside it, since a bundle is made of the model and none is read",
        ),
        ("--config c.json --npu --bundle b", "--bundle: expected no --config beside it"),
        *(
            (f"--npu {words}", f"{words.split()[0]}: expected MODEL beside it, since `export --npu` without one hands")
            for words in ("--precision fp16", "--pretrained openai", "--checkpoint x", "--random", "--nouns 2000")
        ),
        ("lite --max-loss nan", "--max-loss: expected a number of points, found nan"),
        ("--npu --max-loss nan", "--max-loss: expected a number of points, found nan"),
    ],
)
def test_options_that_would_do_nothing_are_refused(words: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=message):
        app(["export", *words.split(), "--out", str(tmp_path / "o")], standalone_mode=False)
    assert not (tmp_path / "o").exists()


def test_a_variable_that_names_a_bundle_is_no_option_that_would_do_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGE_NUSA_BUNDLE", str(MICRO))
    with pytest.raises(UsageError, match="--tail-blocks: expected a number of blocks or 'all', got 'x'"):
        app(["export", "lite", "--tail-blocks", "x", "--out", str(tmp_path / "o")], standalone_mode=False)


FINE = quantize.Loss(mean_cosine=1, least_cosine=1, float_accuracy=50, int8_accuracy=50, taps_cosine=1)


@pytest.mark.parametrize("name", ["mean_cosine", "int8_accuracy", "taps_cosine"])
def test_a_form_whose_loss_is_no_number_is_not_taken(
    name: str, calibration: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loss = FINE._replace(**{name: float("nan")})
    assert name not in loss.figures() and len(loss.figures("int8_")) == 4
    monkeypatch.setattr(forms, "quantized", lambda model, form, images: model)
    monkeypatch.setattr(quantize, "measure", lambda *given, **named: loss)
    bundle, model = Bundle.open(MICRO), onnx.ModelProto()
    wanted = hand_over.Wanted(out=tmp_path, calibration=calibration, max_loss=1.0)
    made, refused = hand_over._quantized(bundle, model, wanted, lambda part, done, total: None)
    assert made == {} and set(refused) == {"a8w8", "a16w8"}
    assert "it loses more than can be measured (what it gives is no number)" in refused["a8w8"]


@pytest.mark.parametrize("name", sorted({*LACKING, "SplitToSequence", "SequenceAt", "ConcatFromSequence", "NonZero"}))
def test_operators_that_compilers_lack_are_known(name: str) -> None:
    nodes = [onnx.helper.make_node(one, ["x"], ["y"]) for one in (name, "Add", name)]
    assert operators.lacking(nodes) == f"2 x {name}"


def test_operators_of_another_domain_are_lacking_too_and_those_of_opset_17_are_not() -> None:
    nodes = [onnx.helper.make_node("Gelu", ["x"], ["y"], domain="com.microsoft"), onnx.helper.make_node("Erf", [], [])]
    assert operators.lacking(nodes) == "1 x com.microsoft::Gelu"
    assert operators.lacking(nodes[1:]) == ""


def test_newer_operators_give_the_same_numbers_by_opset_17() -> None:
    text = """<ir_version: 9, opset_import: ["" : 20]>
    newer (float[1, 8, 6, 6] x) => (float[1, 8, 6, 6] a, float[1, 8, 6, 6] b, float[1, 3, 6, 6] c, float[1, 2, 6, 6] d,
        float[1, 4, 6, 6] e, float[1, 8] f, float[1, 8, 5, 5] g, float h)
        <int64[2] axes = {2, 3}> {
      a = Gelu (x)
      b = Gelu <approximate = "tanh"> (x)
      c, middle, d = Split <axis = 1, num_outputs = 3> (x)
      e, rest = Split <axis = 1, num_outputs = 2> (x)
      f = ReduceMax <keepdims = 0> (x, axes)
      g = AveragePool <kernel_shape = [2, 2], dilations = [1, 1]> (x)
      h = ReduceL2 <keepdims = 0, noop_with_empty_axes = 0> (x)
    }"""
    before = onnx.parser.parse_model(text)
    model = onnx_ir.from_proto(onnx.shape_inference.infer_shapes(before))
    operators.rewrite(model)
    after = onnx_ir.to_proto(model)
    onnx.checker.check_model(after, full_check=True)
    assert [(one.domain, one.version) for one in after.opset_import] == [("", 17)]
    x = {"x": np.random.default_rng(0).normal(size=(1, 8, 6, 6)).astype(np.float32)}
    found, expected = (onnxruntime.InferenceSession(one.SerializeToString()).run(None, x) for one in (after, before))
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-6)


def test_a_session_over_it_stands_in_for_the_trunk_gives_its_features_and_is_bound_to_states_of_its_own(
    pictures: DemoPictures, tmp_path: Path
) -> None:
    bundle = embedded_bundle()
    hand_over.hand_over(Bundle.open(bundle), hand_over.Wanted(out=tmp_path / "npu"), lambda part, done, total: None)
    chip = onnxruntime.InferenceSession(str(tmp_path / "npu" / FLOAT))

    def run(given: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        embedding, taps = chip.run(["embedding", "taps"], {"pixels": given})
        return embedding, taps

    there = ForeignTrunk(run=run, provider="chip", precision="fp32", batch=1)
    taught, asked = Model.open(bundle, tmp_path / "chip", provider=there), list(pictures.asked[THREE[0]].iterdir())
    expected = Model.open(bundle, tmp_path / "cpu").features(asked)
    np.testing.assert_allclose(taught.features(asked), expected, atol=1.01 / UNIT)
    taught.learn({label: pictures.taught[label] for label in THREE}, head_only=True)
    assert taught.predict(asked[0]).best == THREE[0]
    with pytest.raises(DamagedError, match=r"belongs to another provider.*--provider chip, which taught it"):
        Model.open(bundle, tmp_path / "chip", provider="cpu").predict(asked[0])
