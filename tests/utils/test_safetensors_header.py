"""The header of a safetensors file, against the library that wrote it."""

import numpy as np
import pytest
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from adaptrans.utils.safetensors_header import Damaged, not_finite, read_header

KINDS = (
    "bool",
    "int8",
    "uint8",
    "int16",
    "uint16",
    "float16",
    "int32",
    "uint32",
    "float32",
    "int64",
    "float64",
)


def test_every_width_lies_where_the_library_put_it(tmp_path):
    path = tmp_path / "weights"
    values = {kind: np.arange(12).reshape(3, 4).astype(kind) for kind in KINDS} | {"none": np.zeros((0, 2))}
    save_file(values, path)
    content = path.read_bytes()
    for name, found in read_header(path).items():
        own = np.frombuffer(content[found.start : found.end], values[name].dtype).reshape(found.shape)
        assert np.array_equal(own, values[name])
    assert set(read_header(path)) == set(values)
    values["float16"][1, 1] = np.inf
    save_file(values, path)
    assert not_finite(path, read_header(path)) == "float16"


@pytest.mark.parametrize(
    "content", [b"", b"\x08\0\0\0\0\0\0\0not json", b"\xff" * 40, b"PK\x03\x04" + b"\0" * 40]
)
def test_what_the_library_refuses_is_refused(tmp_path, content):
    path = tmp_path / "weights"
    path.write_bytes(content)
    with pytest.raises(SafetensorError), safe_open(path, "np"):
        pass
    with pytest.raises(Damaged):
        read_header(path)


def test_a_file_that_was_cut_short_is_refused(tmp_path):
    path = tmp_path / "weights"
    save_file({"a": np.ones(5)}, path)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(Damaged, match="claims"):
        read_header(path)
