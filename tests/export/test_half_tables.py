"""Half-precision bundles: of the table of tokens, rows are widened, never all of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytestmark = pytest.mark.export
pytest.importorskip("open_clip", reason="the export environment has open_clip")

import onnx  # noqa: E402
import onnxruntime  # noqa: E402

from edge_nusa.export import graphs  # noqa: E402
from edge_nusa.files import tensor_file  # noqa: E402
from edge_nusa.model.parameters import region  # noqa: E402
from edge_nusa.model.shapes import TextShape  # noqa: E402

SHAPE = TextShape(width=8, layers=1, heads=2, mlp_width=16, embed_dim=8, tail_blocks=1, size=6)


@pytest.mark.parametrize("kind", [np.float16, np.float32])
def test_rows_of_the_table_are_widened_and_the_table_is_not(kind: type[np.floating], tmp_path: Path) -> None:
    trunk = graphs.text_graphs(SHAPE, 40)[0]
    tensors = {}
    for name, parameter in trunk.module.named_parameters():
        values = np.random.default_rng(len(name)).normal(size=tuple(parameter.shape))
        tensors[region("text", name, SHAPE.width).name] = values.astype(kind)
    (tmp_path / "weights").write_bytes(tensor_file.encode(tensors))
    model = graphs.trace(trunk)
    graphs.point_at_weights(model, trunk, SHAPE.width, graphs.stored_tensors(tmp_path / "weights"), "weights")
    casts = [node for node in model.graph.node if node.op_type == "Cast" and "token_embedding" in node.input[0]]
    assert casts == []
    onnx.save(model, tmp_path / "trunk.onnx")
    session = onnxruntime.InferenceSession(str(tmp_path / "trunk.onnx"))
    ids = np.array([[3, 39, 0], [7, 7, 1]])
    expected = tensors["token_embedding.weight"][ids].astype(np.float32)
    expected += tensors["positional_embedding"][:3].astype(np.float32)
    np.testing.assert_array_equal(session.run(None, {"token_ids": ids})[0], expected)
