"""What may compute the features of pictures: onnxruntime's providers by the names that people write, and the class that
each belongs to.

A class is what gives the same features: what one provider of it has taught, any other of it may be asked about. It
stands in the identity of all that is learned (`edge_nusa.files.identity`), so that classes never mix.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from edge_nusa.errors import UsageError
from edge_nusa.files.foreign import named
from edge_nusa.files.identity import PROVIDER, Identity

AUTO = "auto"
CPU_SESSION = "CPUExecutionProvider"
NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,29}")
"""What a provider, or a foreign trunk's class or precision, may be called."""
Run = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
"""Pixels (B, 3, H, W) float32 as the preprocessing makes them -> embedding (B, D), taps (B, F)."""


class Plugin(NamedTuple):
    """A package that brings a provider as a library of its own, beside onnxruntime: its module, which has
    `get_library_path`."""

    module: str


@dataclass(frozen=True, kw_only=True)
class Provider:
    """name: as people write it. group: its class. session: onnxruntime's name, "" of a foreign trunk. options: the
    provider's own, which the class stands for. plugin: where onnxruntime does not bring it. precision: of a foreign
    trunk; "" is the bundle's. trunk: what runs instead of a session; batch: how many pictures it takes at once, 0 as
    many as come. why: what sets the class apart."""

    name: str
    group: str
    session: str = ""
    options: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    plugin: Plugin | None = None
    precision: str = ""
    trunk: Run | None = None
    batch: int = 0
    why: str = ""


CPU = Provider(
    name=PROVIDER,
    group=PROVIDER,
    session=CPU_SESSION,
    why="one class on every processor: the same sums in another order, differences of a millionth",
)


def _own(name: str, session: str, why: str, *, plugin: str = "", **options: str) -> Provider:
    """A provider that is a class by itself."""
    brings = Plugin(plugin) if plugin else None
    given = MappingProxyType(options)
    return Provider(name=name, group=name, session=session, options=given, plugin=brings, why=why)


TABLE: tuple[Provider, ...] = (
    CPU,
    _own(
        "tensorrt", "TensorrtExecutionProvider", "an engine built for one card: its layers are fused and rounded anew"
    ),
    _own("cuda", "CUDAExecutionProvider", "other kernels; TF32, which keeps 10 bits, is off", use_tf32="0"),
    _own("migraphx", "MIGraphXExecutionProvider", "AMD's cards: an engine of its own"),
    _own("openvino-npu", "OpenVINOExecutionProvider", "computes in 16 bits", device_type="NPU"),
    _own("openvino-gpu", "OpenVINOExecutionProvider", "16 bits where the driver chooses so", device_type="GPU"),
    _own("qnn", "QNNExecutionProvider", "Qualcomm's: 16 or 8 bits", plugin="onnxruntime_qnn"),
    _own("coreml", "CoreMLExecutionProvider", "Apple's: 16 bits on the neural engine"),
    _own("webgpu", "WebGpuExecutionProvider", "a shader for each operator", plugin="onnxruntime_ep_webgpu"),
    _own(
        "openvino",
        "OpenVINOExecutionProvider",
        "on the processor, held to 32 bits: some processors would take bfloat16 else",
        device_type="CPU",
        precision="FP32",
    ),
    _own("xnnpack", "XnnpackExecutionProvider", "other kernels on the processor"),
)
"""All that has a name; after the CPU in the order that `auto` tries them."""
ON_PROCESSOR = frozenset({"openvino", "xnnpack"})
"""What `auto` does not try, as the CPU is no accelerator: it would bind a state to a class for nothing."""


def of_name(name: str) -> Provider | None:
    """The provider that is called so in the table."""
    return next((one for one in TABLE if one.name == name), None)


def of_group(group: str) -> list[Provider]:
    """The providers of a class, the one to try first first; none of a foreign trunk's class."""
    return [one for one in TABLE if one.group == group]


def of_identity(identity: Identity) -> Provider:
    """What an identity says that computed, untried: to look at what was learned, and to merge it. A foreign trunk of
    which only the name is known answers no picture."""
    found = next(iter(of_group(identity.provider)), None)
    return found or _foreign(identity.provider, identity.precision)


def declared(text: str) -> Provider:
    """What a hub is told that its devices compute with: a name of the table, or CLASS:PRECISION of a foreign trunk,
    such as hailo:a8w8. Raises UsageError for anything else."""
    group, _, precision = text.partition(":")
    if not precision and (found := of_name(group)) is not None:
        return found
    if of_group(group) or not NAME.fullmatch(group) or not NAME.fullmatch(precision):
        known = ", ".join(one.name for one in TABLE)
        raise UsageError(
            f"--provider: expected one of {known}, or CLASS:PRECISION of a foreign trunk such as hailo:a8w8, found "
            f"{named(text)}; docs/accelerators.md has them all"
        )
    return _foreign(group, precision)


def _foreign(group: str, precision: str) -> Provider:
    return Provider(name=group, group=group, precision=precision, trunk=absent)


def absent(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """In the place of a foreign trunk of which only the name is known; nothing opens it."""
    raise AssertionError


def unknown(name: str, more: list[str]) -> UsageError:
    """The error for a name that nothing has; more: names of installed foreign trunks."""
    known = ", ".join([AUTO, *(one.name for one in TABLE), *more])
    return UsageError(f"--provider: expected one of {known}, found {named(name)}; docs/accelerators.md has them all")


def session(provider: Provider, path: Path, options: Any, **more: Any) -> Any:
    """An onnxruntime session of a graph by this provider, the CPU for what it does not take. Raises what onnxruntime
    does, RuntimeError where onnxruntime leaves the provider out, which it does without a word."""
    import onnxruntime

    given = {**provider.options}
    if given.get("device_type") == "CPU":  # OpenVINO has threads of its own, as many as the machine has cores
        given["num_of_threads"] = str(options.intra_op_num_threads)
    if provider.session == CPU_SESSION:
        return onnxruntime.InferenceSession(str(path), options, providers=[CPU_SESSION], enable_fallback=0, **more)
    if provider.plugin is not None and provider.session not in onnxruntime.get_available_providers():
        options.add_provider_for_devices(_devices(provider.session, library(provider.plugin)), given)
        opened = onnxruntime.InferenceSession(str(path), options, enable_fallback=0, **more)
    else:
        asked = [(provider.session, given), CPU_SESSION]
        opened = onnxruntime.InferenceSession(str(path), options, providers=asked, enable_fallback=0, **more)
    if provider.session not in opened.get_providers():
        raise RuntimeError(
            f"onnxruntime left {provider.session} out: its driver, its libraries or its device is missing"
        )
    return opened


def library(plugin: Plugin) -> str:
    """The path of the plugin's library. Raises ImportError, and what the package does."""
    import importlib

    return str(importlib.import_module(plugin.module).get_library_path())


def _devices(session_name: str, path: str) -> list[Any]:
    """The plugin's first device, its library loaded once. Raises RuntimeError where it sees none here."""
    import onnxruntime

    if not hasattr(onnxruntime, "register_execution_provider_library"):
        raise RuntimeError(f"expected onnxruntime 1.23 for a plugin, found {onnxruntime.__version__}")
    if not any(one.ep_name == session_name for one in onnxruntime.get_ep_devices()):
        onnxruntime.register_execution_provider_library(session_name, path)
    found = [one for one in onnxruntime.get_ep_devices() if one.ep_name == session_name]
    if not found:
        raise RuntimeError(f"the library of {session_name} is loaded, and finds no device here that it could use")
    return found[:1]
