"""MANO's file in each of its forms, and files that are not what they say."""

import io
import sys
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import sparse
from scipy.spatial.transform import Rotation

from hamba_core.errors import HandModelError
from hamba_core.hand.generic_hand import load_generic_hand
from hamba_core.hand.hand_model import HandModel
from hamba_core.hand.mano import TIPS, arrays_of, hand_of, read_mano
from hamba_core.hand.mirror import MIRROR
from hamba_core.hand.skeleton import JOINTS_FROM_MODEL, MODEL_PARENTS

WriteMano = Callable[..., Path]


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "hamba-stream"


@pytest.fixture
def pickled(tmp_path: Path, write_mano: WriteMano, cache: Path) -> Path:
    return write_mano(tmp_path / "MANO_RIGHT.pkl")


def same(first: HandModel, second: HandModel) -> bool:
    names = ("v_template", "shapedirs", "posedirs", "j_regressor", "weights", "faces", "tips", "flexion_axes")
    return all(np.array_equal(getattr(first, name), getattr(second, name)) for name in names)


def test_the_pickle_gives_the_arrays_that_went_into_it(pickled: Path, mano_arrays: dict[str, Any]) -> None:
    hand = read_mano(pickled)
    assert hand.name == "mano"
    np.testing.assert_array_equal(hand.v_template, mano_arrays["v_template"])
    np.testing.assert_array_equal(hand.shapedirs, mano_arrays["shapedirs"])
    np.testing.assert_array_equal(hand.posedirs, mano_arrays["posedirs"])
    np.testing.assert_array_equal(hand.j_regressor, mano_arrays["J_regressor"].toarray())
    np.testing.assert_array_equal(hand.weights, mano_arrays["weights"])
    np.testing.assert_array_equal(hand.faces, mano_arrays["f"])
    assert tuple(hand.tips) == TIPS


def test_folder_archive_and_npz_give_the_same_hand(
    pickled: Path, tmp_path: Path, write_mano: WriteMano, mano_arrays: dict[str, Any]
) -> None:
    expected = read_mano(pickled)
    unpacked = tmp_path / "mano_v1_2" / "models"
    unpacked.mkdir(parents=True)
    write_mano(unpacked / "MANO_RIGHT.pkl")
    archive = tmp_path / "mano_v1_2.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("mano_v1_2/models/MANO_LEFT.pkl", b"not looked at")
        file.write(pickled, "mano_v1_2/models/MANO_RIGHT.pkl")
    npz = tmp_path / "hand.npz"
    arrays = {name: value for name, value in mano_arrays.items() if isinstance(value, np.ndarray)}
    np.savez(npz, **{**arrays, "J_regressor": mano_arrays["J_regressor"].toarray()})
    for path in (tmp_path, tmp_path / "mano_v1_2", archive, npz):
        assert same(read_mano(path), expected), path


def test_what_was_read_is_cached_and_found_again(pickled: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = read_mano(pickled)
    (kept,) = cache.iterdir()
    assert kept.suffix == ".npz"
    monkeypatch.setattr("hamba_core.hand.mano._read_pickle", lambda *_: pytest.fail("the pickle was read again"))
    assert same(read_mano(pickled), first)


def test_a_damaged_cache_is_made_again(pickled: Path, cache: Path) -> None:
    first = read_mano(pickled)
    (kept,) = cache.iterdir()
    kept.write_bytes(b"damaged")
    assert same(read_mano(pickled), first)
    assert same(hand_of(dict(np.load(kept)), kept), first)


def test_without_a_writable_cache_the_hand_is_read_all_the_same(pickled: Path, cache: Path) -> None:
    cache.parent.mkdir()
    cache.write_text("a file where the folder should be")
    assert read_mano(pickled).name == "mano"


class _Hostile:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.marker,))


@pytest.mark.parametrize("name", ["v_template", "something_else"])
def test_a_hostile_pickle_is_refused_by_name_and_not_executed(
    tmp_path: Path, write_mano: WriteMano, cache: Path, name: str
) -> None:
    marker = tmp_path / "executed"
    path = write_mano(tmp_path / "MANO_RIGHT.pkl", **{name: _Hostile(marker)})
    with pytest.raises(HandModelError, match=r"MANO_RIGHT\.pkl.*nothing.*executed"):
        read_mano(path)
    assert not marker.exists()


@pytest.mark.parametrize(
    "call",
    [
        b"cos\nsystem\n(S'touch executed'\ntR.",
        b"cbuiltins\neval\n(S'1'\ntR.",
        b"cnumpy\nload\n(S'x'\ntR.",
        b"cnumpy.core.multiarray\nfromfile\n(S'x'\ntR.",
        b"ccopy_reg\n_reconstructor\n(c__builtin__\nobject\nc__builtin__\nobject\nNtR.",
        b"c_codecs\nencode\n(S'x'\nS'zip'\ntR.",
    ],
    ids=["os.system", "eval", "numpy.load", "fromfile", "any object", "any codec"],
)
def test_whatever_a_pickle_calls_is_refused_but_arrays(tmp_path: Path, cache: Path, call: bytes) -> None:
    path = tmp_path / "MANO_RIGHT.pkl"
    path.write_bytes(call)
    with pytest.raises(HandModelError, match="refused"):
        read_mano(path)


@pytest.mark.parametrize("protocol", [0, 1, 2])
def test_every_protocol_that_python_2_had_is_read(
    tmp_path: Path, cache: Path, write_mano: WriteMano, protocol: int
) -> None:
    expected = read_mano(write_mano(tmp_path / "MANO_RIGHT.pkl"))
    assert same(read_mano(write_mano(tmp_path / "other.pkl", protocol=protocol)), expected)


def test_a_sparse_matrix_whose_indices_lie_is_refused(tmp_path: Path, cache: Path, write_mano: WriteMano) -> None:
    matrix = sparse.csc_matrix(np.eye(16, 778))
    for lie in ({"indices": np.full(16, 10**6, np.int32)}, {"indptr": np.array([0, 5])}, {"_shape": (10**6, 10**6)}):
        matrix.__dict__.update(sparse.csc_matrix(np.eye(16, 778)).__dict__ | lie)
        path = write_mano(tmp_path / "MANO_RIGHT.pkl", J_regressor=matrix)
        with pytest.raises(HandModelError, match=r"MANO_RIGHT\.pkl"):
            read_mano(path)


def wrong_files() -> list[tuple[dict[str, Any], str]]:
    ones, nan = np.ones((778, 16)), np.full((778, 3), np.nan)
    tree = np.array([[0, *([0] * 15)], range(16)])
    return [
        ({"weights": None}, "no weights"),
        ({"f": None, "posedirs": None}, "no posedirs, f"),
        ({"v_template": np.zeros((6890, 3))}, r"v_template to be numbers \(778, 3\), found float64 \(6890, 3\)"),
        ({"weights": ones}, "each row of weights to sum to 1"),
        ({"kintree_table": tree}, "joint tree"),
        ({"v_template": nan}, "not finite"),
        ({"f": np.full((1538, 3), 778)}, "outside 0..777"),
        ({"posedirs": np.array(["a"] * 3)}, "posedirs"),
        ({"posedirs": "text"}, "posedirs"),
    ]


@pytest.mark.parametrize(("changes", "words"), wrong_files(), ids=lambda value: str(value)[:20])
def test_a_file_that_is_no_mano_hand_is_refused_and_says_what_is_wrong(
    tmp_path: Path, cache: Path, write_mano: WriteMano, changes: dict[str, Any], words: str
) -> None:
    path = write_mano(tmp_path / "MANO_RIGHT.pkl", **changes)
    with pytest.raises(HandModelError, match=words) as error:
        read_mano(path)
    assert not isinstance(error.value.__cause__, AssertionError)


@pytest.fixture
def real_shape(mano_arrays: dict[str, Any]) -> dict[str, Any]:
    """MANO's arrays with a right hand's shape: joints and tips where the generic hand has them."""
    hand = load_generic_hand()
    order = list(JOINTS_FROM_MODEL)
    joints = np.empty((21, 3))
    joints[order] = hand.rest_joints_21(np.zeros(10))
    v_template, regressor = mano_arrays["v_template"].copy(), np.zeros((16, 778))
    chosen = [number for number in range(100) if number not in TIPS][:16]
    v_template[chosen], v_template[list(TIPS)] = joints[:16], joints[16:]
    regressor[range(16), chosen] = 1
    return {"v_template": v_template, "J_regressor": regressor}


@pytest.mark.parametrize("seed", range(5))
def test_a_left_hand_is_told_by_its_shape_however_it_lies(
    real_shape: dict[str, Any], mano_arrays: dict[str, Any], seed: int
) -> None:
    R = Rotation.random(random_state=seed).as_matrix()
    arrays = mano_arrays | real_shape
    right = arrays | {"v_template": real_shape["v_template"] @ R}
    assert hand_of(right, Path("MANO_LEFT.pkl")).name == "mano"
    left = arrays | {"v_template": real_shape["v_template"] @ MIRROR @ R}
    with pytest.raises(HandModelError, match=r"MANO_RIGHT\.pkl: expected the right hand.*found a left hand"):
        hand_of(left, Path("MANO_RIGHT.pkl"))


@pytest.mark.parametrize("factor", [1000, 100, 39.37, 0.001])
def test_a_hand_in_another_unit_is_refused(
    real_shape: dict[str, Any], mano_arrays: dict[str, Any], factor: float
) -> None:
    arrays = mano_arrays | real_shape
    arrays |= {name: factor * arrays[name] for name in ("v_template", "shapedirs", "posedirs")}
    with pytest.raises(HandModelError, match=r"hand\.pkl: expected a hand of about 0\.2 m.*another unit"):
        hand_of(arrays, Path("hand.pkl"))


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("MANO_RIGHT.pkl", b"", "found 0 bytes"),
        ("MANO_RIGHT.pkl", b"\x80\x02}q\x00X", "expected a pickle"),
        ("MANO_RIGHT.pkl", b"I1\n.", "expected a dict"),
        ("hand.npz", b"PK\x03\x04 cut short", "npz"),
        ("mano.zip", b"no archive", "archive"),
    ],
)
def test_a_damaged_file_is_refused_by_name(tmp_path: Path, cache: Path, name: str, content: bytes, words: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(HandModelError, match=words) as error:
        read_mano(path)
    assert str(path) in str(error.value)


def bomb(kind: str) -> bytes:
    """An .npz or the archive, of a few kB or MB, that unpacks to gigabytes or claims to."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        if kind == "header":
            header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (100000000000000,), }\n"
            archive.writestr("v_template.npy", b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header)
        else:
            name = "mano/MANO_RIGHT.pkl" if kind == "archive" else "v_template.npy"
            start = io.BytesIO()
            np.lib.format.write_array_header_1_0(start, {"descr": "|i1", "fortran_order": False, "shape": (1 << 28,)})
            with archive.open(name, "w", force_zip64=True) as entry:
                entry.write(start.getvalue())
                for _ in range(256):
                    entry.write(bytes(1 << 20))
    return content.getvalue()


@pytest.mark.parametrize(("kind", "name"), [("content", "a.npz"), ("header", "a.npz"), ("archive", "a.zip")])
def test_a_file_that_unpacks_without_end_is_refused_before_it_takes_memory(
    tmp_path: Path, cache: Path, kind: str, name: str
) -> None:
    (tmp_path / name).write_bytes(bomb(kind))
    tracemalloc.start()
    with pytest.raises(HandModelError, match="expected"):
        read_mano(tmp_path / name)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 150 << 20, peak  # of 256 MiB and more


@pytest.mark.parametrize("dtype", ["O", "V8", "U4", "c16", "M8[s]", [("a", "f8")]])
def test_arrays_of_other_things_than_numbers_are_refused(tmp_path: Path, cache: Path, dtype: Any) -> None:
    np.savez(tmp_path / "hand.npz", v_template=np.zeros((778, 3), dtype))
    with pytest.raises(HandModelError, match="plain numbers"):
        read_mano(tmp_path / "hand.npz")


def test_a_missing_file_an_empty_folder_and_an_archive_without_the_hand_are_errors(tmp_path: Path) -> None:
    archive = tmp_path / "other.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("readme.txt", "nothing here")
    for path in (tmp_path / "absent.pkl", tmp_path, archive):
        with pytest.raises(HandModelError, match=r"mano\.is\.tue\.mpg\.de"):
            read_mano(path)


def test_a_truncated_pickle_is_refused(pickled: Path) -> None:
    pickled.write_bytes(pickled.read_bytes()[:100_000])
    with pytest.raises(HandModelError, match="expected a pickle"):
        read_mano(pickled)


def test_arrays_of_a_hand_make_the_same_hand(pickled: Path) -> None:
    hand = read_mano(pickled)
    arrays = arrays_of(hand)
    assert arrays["kintree_table"][0].tolist() == list(MODEL_PARENTS)
    assert same(hand_of(arrays, pickled), hand)


def test_reading_leaves_no_chumpy_behind(pickled: Path) -> None:
    read_mano(pickled)
    assert not [name for name in sys.modules if name.startswith("chumpy")]
