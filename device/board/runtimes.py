"""Packages that bring a module under another name than their own: onnxruntime-gpu and onnxruntime-openvino are
onnxruntime too, and take its place."""

from __future__ import annotations

import importlib.metadata


def brought_by(module: str) -> str | None:
    """The package of another name that brings a module, with its version; None where none does."""
    others = [name for name in importlib.metadata.packages_distributions().get(module, []) if name != module]
    return f"{others[0]} {importlib.metadata.version(others[0])}" if others else None
