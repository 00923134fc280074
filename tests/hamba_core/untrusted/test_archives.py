"""Archives that a stranger may have made give arrays of plain numbers, or the one error."""

import io
import struct
import tracemalloc
import zipfile
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, strategies as st

from hamba_core.untrusted import DocumentError, load_arrays, read_npz, unpack_entry

KEYS = ("{", "'descr'", ": ", "'<f8'", ", ", "'fortran_order'", "False", "'shape'", "(", ")", "}", "2,", "()")
WRONG = (
    "[",
    "'''",
    "True",
    "-1",
    "9" * 30,
    "'|O'",
    "'<M8[s]'",
    "'<f8', (2,)",
    "None",
    "\n",
    "#",
    "\\",
    "1L",
    "lambda: 0",
    "\0",
)
HEADERS = st.lists(st.sampled_from(KEYS + WRONG), max_size=20).map("".join)
GOOD = "{'descr': '<f8', 'fortran_order': False, 'shape': %s, }"


def archive(header: str, data: bytes = bytes(16), version: int = 1, method: int = zipfile.ZIP_STORED) -> bytes:
    text = header.encode("latin1")
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as packed:
        length = struct.pack("<H" if version == 1 else "<I", len(text))
        packed.writestr("x.npy", b"\x93NUMPY" + bytes([version, 0]) + length + text + data)
    return file.getvalue()


@given(HEADERS | HEADERS.map(lambda inner: GOOD % inner), st.sampled_from([1, 2, 3]))
@example("{'descr': (", 1)
@example("'''", 2)
@example(GOOD % "(True, 2)", 1)
@example(GOOD % ("(" + "1, " * 70 + ")"), 1)
@pytest.mark.filterwarnings("ignore:Reading `.npy`")
def test_any_header_of_an_array_gives_it_or_the_one_error(header: str, version: int) -> None:
    with suppress(DocumentError):
        assert read_npz(archive(header, version=version), ["x"], 1000)["x"].nbytes == 16


def test_what_numpy_wrote_is_read() -> None:
    file = io.BytesIO()
    np.savez_compressed(file, x=np.arange(6.0).reshape(2, 3), y=np.array(7))
    read = read_npz(file.getvalue(), ["x", "y", "z"], 1000)
    assert {name: array.tolist() for name, array in read.items()} == {"x": [[0, 1, 2], [3, 4, 5]], "y": 7}


@given(st.data())
def test_damage_in_an_archive_is_the_one_error(data: st.DataObject) -> None:
    whole = bytearray(archive(GOOD % "(2,)", method=data.draw(st.sampled_from([0, zipfile.ZIP_DEFLATED]))))
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.sampled_from([0, 1, 12, 14, 0x7F, 0x80, 0xFF]))
    with suppress(DocumentError):
        read_npz(bytes(whole), ["x"], 1000)


def test_a_users_own_arrays_and_texts_are_read_and_others_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez(path, x=np.arange(3), names=np.array(["a", "b"]), none=np.zeros((0, 2)))
    read = load_arrays(path)
    assert {name: array.tolist() for name, array in read.items()} == {"x": [0, 1, 2], "names": ["a", "b"], "none": []}
    whole = path.read_bytes()
    damaged = [
        whole[: len(whole) // 2], b"", b"text", b"\x80\4.", archive("{'descr': (", version=1),
        archive(GOOD % "(99999999999999,)"), archive(GOOD % "(2**70,)"), archive(GOOD % "(True, 2)"),
        archive("{'descr': [('a', '<f8')], 'fortran_order': False, 'shape': (2,), }"),
        archive("{'descr': '<M8[s]', 'fortran_order': False, 'shape': (2,), }"),
    ]  # fmt: skip
    np.save(tmp_path / "one.npy", np.arange(3))
    np.savez(tmp_path / "objects.npz", x=np.array([None]))
    with zipfile.ZipFile(tmp_path / "other.npz", "w") as packed:
        packed.writestr("x.txt", "text")
    for content in (*damaged, *((tmp_path / name).read_bytes() for name in ("one.npy", "objects.npz", "other.npz"))):
        path.write_bytes(content)
        with pytest.raises(DocumentError, match="expected"):
            load_arrays(path)
    with pytest.raises(FileNotFoundError):
        load_arrays(tmp_path / "gone.npz")


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_what_unpacks_without_a_bound_is_refused(method: int) -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as packed:
        packed.writestr("x", bytes(32 << 20))
    tracemalloc.start()
    try:
        with zipfile.ZipFile(file) as packed, pytest.raises(DocumentError, match="stored or deflated"):
            unpack_entry(packed, "x", 1000)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()
