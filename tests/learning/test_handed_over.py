"""What two processes hand each other comes out as it went in, and has no name."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from edge_nusa.device.learning import handed_over
from edge_nusa.errors import ResourceError


def test_arrays_and_settings_come_out_as_they_went_in() -> None:
    given: dict[str, np.ndarray] = {
        "rows": np.arange(12, dtype=np.float32).reshape(3, 4).T,
        "none": np.zeros((0, 7), np.int64),
        "flags": np.array([True, False, True]),
        "half": np.ones((2, 3), np.float16),
    }
    with handed_over.nameless() as file:
        start, length = handed_over.write(file, given, {"seed": 3, "tokens": None})
        assert start % handed_over.ALIGNED == 0
        found, settings = handed_over.read(file, start, length)
        assert settings == {"seed": 3, "tokens": None} and list(found) == list(given)
        for name, array in given.items():
            np.testing.assert_array_equal(found[name], array)
            assert found[name].dtype == array.dtype
        found["rows"][0, 0] = 9
        assert handed_over.read(file, start, length)[0]["rows"][0, 0] == 0, "a change stays in its process"


def test_the_file_has_no_name_and_is_this_users_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with handed_over.nameless() as file:
        assert list(tmp_path.iterdir()) == []
        found = os.fstat(file.fileno())
        assert (found.st_mode & 0o777, found.st_dev) == (0o600, tmp_path.stat().st_dev)


def test_a_full_disk_is_a_resource_error_that_names_the_temporary_folder() -> None:
    with (
        open("/dev/full", "wb", buffering=0) as full,
        pytest.raises(ResourceError, match="temporary folder .TMPDIR chooses another.*free some disk space"),
    ):
        handed_over.write(full, {"rows": np.ones(4)}, {})
