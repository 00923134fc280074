"""What a hostile pickle may try, each in a process of its own: it ends in an error, never by a signal."""

import pickle
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, strategies as st
from hypothesis.extra import numpy as hnp

from hamba_core.untrusted import NotArraysError, read_pickled_arrays, read_pickled_records

ARRAYS_OF_PLAIN_NUMBERS = hnp.arrays(
    st.sampled_from([np.dtype(code) for code in ("<f8", ">f8", "<f4", "<f2", "<i8", ">i4", "u1", "i2", "?")]),
    hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5),
)


@given(ARRAYS_OF_PLAIN_NUMBERS, st.integers(0, 5), st.booleans())
def test_what_numpy_pickled_is_read_as_it_was(array: np.ndarray, protocol: int, fortran: bool) -> None:
    array = np.asfortranarray(array) if fortran else array
    read = read_pickled_arrays(pickle.dumps({"x": array, "other": [1, (2.5, None, True), {"a": "b"}]}, protocol), ["x"])
    assert read["x"].dtype == array.dtype
    np.testing.assert_array_equal(read["x"], array)


@given(st.binary(max_size=200))
def test_any_bytes_end_in_the_one_error_or_in_arrays(data: bytes) -> None:
    with suppress(NotArraysError):
        read_pickled_arrays(data, ["x"])


def raw_array(dtype: bytes, state: bytes, data: bytes = b"A" * 16) -> bytes:
    """Protocol 0 and 2 mixed: an array whose dtype is told by the file, over bytes of the file."""
    kind = b"cnumpy\ndtype\n(S'%b'\nI0\nI1\ntR%b" % (dtype, state)
    content = b"U" + bytes([len(data)]) + data
    return b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR(I1\n(I2\nt%bI00\n%btb" % (
        kind,
        content,
    )


def in_a_dict(value: bytes) -> bytes:
    return b"(dS'x'\n" + value + b"s."


def sparse(data: bytes) -> bytes:
    index = raw_array(b"i8", b"(I3\nS'<'\nNNNI-1\nI-1\nI0\ntb", np.array([0, 1]).tobytes())
    shape = b"(I1\nI1\nt"
    parts = b"".join(
        b"S'" + name + b"'\n" + value + b"s"
        for name, value in ((b"_shape", shape), (b"data", data), (b"indices", index), (b"indptr", index))
    )
    return b"ccopy_reg\n_reconstructor\n(cscipy.sparse.csc\ncsc_matrix\nc__builtin__\nobject\nNtR(d" + parts + b"b"


DEEP = b"(" * 60_000 + b"t" * 60_000
DOUBLED = b"N" + b"2\x86" * 90_000  # a pair of the same pair of the same pair: 2 ** 90000 members
NAMED = b"(d" + b"".join(b"S'%d'\nNs" % number for number in range(30_000)) + b"p0\n0"  # 30,000 names
CHUMPY = b"cchumpy.ch\nCh\np1\n0"
ATTACKS = {
    "one large state of many objects": in_a_dict(NAMED + CHUMPY + b"(" + b"g1\n)\x81g0\nb" * 20_000 + b"l"),
    "a large state again and again": in_a_dict(NAMED + CHUMPY + b"g1\n)\x81" + b"g0\nb" * 50_000),
    "an array of pointers": in_a_dict(raw_array(b"O8", b"(I3\nS'|'\nNNNI-1\nI-1\nI0\ntb")),
    "pointers in a sparse matrix": in_a_dict(sparse(raw_array(b"O8", b"(I3\nS'|'\nNNNI-1\nI-1\nI0\ntb"))),
    "flags from the file": in_a_dict(raw_array(b"f8", b"(I3\nS'<'\nNNNI-1\nI-1\nI255\ntb", b"A" * 8)),
    "fields from the file": in_a_dict(raw_array(b"V8", b"(I3\nS'|'\nN(S'a'\nt(dI8\nI1\nI0\ntb")),
    "more numbers than bytes": in_a_dict(raw_array(b"f8", b"(I3\nS'<'\nNNNI-1\nI-1\nI0\ntb", b"A" * 8)),
    "a key that is a deep tuple": b"(d" + DEEP + b"Ns.",
    "a key that is without end": b"(d" + DOUBLED + b"Ns.",
    "a value that is without end": in_a_dict(DOUBLED),
    "a list in itself": in_a_dict(b"]q\x00h\x00a"),
    "a memory of 4 billion places": b"Nr\xff\xff\xff\xff0.",
    "bytes without end": b"\x8e" + b"\xff" * 8,
    "a number without end": in_a_dict(b"\x8b\x00\x00\x04\x00" + b"\x7f" * (1 << 18)),
    "digits without end": in_a_dict(b"L" + b"9" * 200_000 + b"L\n"),
    "operations without end": b"N0" * 300_000,
    "a mark too few": b"t.",
}


def read_in_a_child(folder: Path, *files: bytes) -> str:
    """What each of these files gives, a line each, in a process with 2 GB. A death by a signal fails."""
    paths = []
    for number, content in enumerate(files):
        paths.append(folder / str(number))
        paths[-1].write_bytes(content)
    program = """
import resource, sys
from pathlib import Path
import hamba_core.untrusted.pickled_arrays as reading
resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))
for path in sys.argv[1:]:
    try:
        arrays = reading.read_pickled_arrays(Path(path).read_bytes(), ["x", "v_template", "shapedirs", "J_regressor"])
        print("read", sum(float(array.astype(float).sum()) for array in arrays.values()))
    except reading.NotArraysError as error:
        print("refused", str(error).splitlines()[0])
"""
    child = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program, *map(str, paths)], capture_output=True, text=True, timeout=60
    )
    assert child.returncode == 0, (child.returncode, child.stdout[-300:], child.stderr[-2000:])
    return child.stdout


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS)
def test_an_attack_is_an_error_and_not_the_death_of_the_process(attack: bytes, tmp_path: Path) -> None:
    said = read_in_a_child(tmp_path, attack)
    assert said.startswith("refused") or said.strip() == f"read {float(np.frombuffer(b'A' * 8).sum())}", said


def test_a_sparse_matrix_that_claims_a_billion_places_takes_no_memory(tmp_path: Path) -> None:
    index = raw_array(b"i8", b"(I3\nS'<'\nNNNI-1\nI-1\nI0\ntb", np.array([0, 10**12]).tobytes())
    hostile = sparse(raw_array(b"f8", b"(I3\nS'<'\nNNNI-1\nI-1\nI0\ntb"))
    honest = raw_array(b"i8", b"(I3\nS'<'\nNNNI-1\nI-1\nI0\ntb", np.array([0, 1]).tobytes())
    assert read_in_a_child(tmp_path, in_a_dict(hostile.replace(honest, index))).startswith("refused x: ")


def test_numbers_that_many_records_name_are_not_made_for_each_without_end() -> None:
    shape = b"(I2000\nI2000\nt"
    starts = raw_array(b"i8", b"(I3\nS'<'\nNNNI-1\nI-1\nI0\ntb", bytes(16)).replace(b"(I2\nt", b"(I2001\nt")
    starts = starts.replace(b"U\x10" + bytes(16), b"T" + (8 * 2001).to_bytes(4, "little") + bytes(8 * 2001))
    none = raw_array(b"i8", b"(I3\nS'<'\nNNNI-1\nI-1\nI0\ntb", b"").replace(b"(I2\nt", b"(I0\nt")
    parts = b"".join(
        b"S'%b'\n%bs" % pair for pair in ((b"_shape", shape), (b"data", none), (b"indices", none), (b"indptr", starts))
    )
    empty = b"ccopy_reg\n_reconstructor\n(cscipy.sparse.csc\ncsc_matrix\nc__builtin__\nobject\nNtR(d" + parts + b"b"
    few, many = (
        in_a_dict(empty + b"p9\n").replace(b"s.", b"sp8\n0")
        + b"(d" + b"".join(b"I%d\ng8\ns" % number for number in range(count)) + b"."
        for count in (3, 30)
    )  # fmt: skip
    assert [record["x"].shape for record in read_pickled_records(few, ["x"]).values()] == [(2000, 2000)] * 3
    with pytest.raises(NotArraysError, match="numbers in all"):
        read_pickled_records(many, ["x"])


def test_damage_anywhere_in_a_mano_file_never_kills_the_process(
    tmp_path: Path, write_mano: Callable[..., Path]
) -> None:
    small = {"shapedirs": np.zeros((3, 3, 2)), "posedirs": None, "weights": None, "f": None}
    originals = [write_mano(tmp_path / "mano.pkl", protocol, **small).read_bytes() for protocol in range(3)]
    random = np.random.default_rng(7)
    files = []
    for number in range(300):
        whole = bytearray(originals[number % 3])
        structure = [i for i in range(len(whole)) if i < 400 or i > len(whole) - 1200]
        for at in random.choice(structure, random.integers(1, 6)):
            whole[at] = random.integers(0, 256)
        files.append(bytes(whole[: random.integers(1, len(whole) + 1)] if number % 10 == 0 else whole))
    lines = read_in_a_child(tmp_path, *files).splitlines()
    assert len(lines) == 300
    assert {line.split()[0] for line in lines} == {"read", "refused"}
