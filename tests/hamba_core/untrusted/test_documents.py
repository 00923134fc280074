"""Small documents are read as plain values; those that would cost time or memory are refused at once."""

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import example, given, strategies as st

from hamba_core.untrusted import DocumentError, parse_document, parse_json, parse_yaml, read_text

LEAVES = st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.floats(allow_nan=False, allow_infinity=False)
NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\0"))
TREES = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3))


@given(TREES)
def test_what_was_written_is_read(tree: object) -> None:
    import json

    import yaml

    assert parse_json(json.dumps(tree)) == tree
    assert parse_yaml(yaml.safe_dump(tree)) == tree


SIGNS = st.sampled_from("[]{}<>:-&*!|?'\"\\,# \n\tab1.e/=%@")
TAGS = ("int", "float", "bool", "timestamp", "binary", "null", "str", "seq", "map", "set", "omap", "pairs", "merge")
TOKENS = SIGNS | st.sampled_from(
    ["\n- ", "\n  ", ": ", "? ", "<<: ", "&a ", "*a ", "---\n", "...\n", "%YAML:1.0\n", "0x", "0b", "1:1", "_", ".inf",
     ".nan", "2001-01-01", " 00:00:00", "+99:99", '""', '"\\0"', '"\\ud800"', "<a>", "</a>", "<?xml version='1.0'?>",
     '{"a":', "1e999", "9" * 400, *(f"!!{tag} " for tag in TAGS)]
)  # fmt: skip


@given(st.lists(TOKENS, max_size=30).map("".join))
@example('a: !!int ""')
@example("a: !!int _")
@example('a: !!float ""')
@example("a: !!bool maybe")
@example("a: !!timestamp then")
@example("<?xml version='1.0' encoding='foo'?><a/>")
@example("<?xml version='1.0' encoding='idna'?><a/>")
def test_any_text_gives_values_or_the_one_error(text: str) -> None:
    try:
        parse_document(text)
    except DocumentError as error:
        assert str(error)  # noqa: PT017


def test_the_three_forms_of_a_document_say_the_same() -> None:
    forms = (
        "%YAML:1.0\n---\na: !!opencv-matrix\n   rows: 3\nb: x\n",
        '{"a": {"rows": 3}, "b": "x"}',
        "<?xml version='1.0'?>\n<storage><a type_id='opencv-matrix'><rows>3</rows></a><b> x </b></storage>",
    )
    yaml, json, xml = map(parse_document, forms)
    assert yaml == json == {"a": {"rows": 3}, "b": "x"}
    assert xml == {"a": {"rows": "3"}, "b": "x"}


def test_aliases_of_bearable_size_are_read() -> None:
    assert parse_yaml("a: &a [1, 2]\nb: *a\nc: {<<: {d: 1}, e: *a}") == {
        "a": [1, 2],
        "b": [1, 2],
        "c": {"d": 1, "e": [1, 2]},
    }


LAUGHS = "a0: &a0 [1]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 40))
MERGES = "a0: &a0 {x: 1}\n" + "".join(f"a{n}: &a{n}\n  <<: [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 40))
DEEP = 100_000
BOMBS = {
    "aliases of aliases": LAUGHS,
    "merges of merges": MERGES,
    "a list in itself": "a: &a [*a]",
    "deep lists in YAML": "a: " + "[" * DEEP + "]" * DEEP,
    "deep dashes in YAML": "- " * DEEP,
    "deep blocks in YAML": "".join(" " * n + "a:\n" for n in range(700)),
    "deep JSON": "[" * DEEP + "]" * DEEP,
    "deep names in JSON": '{"a":' * DEEP + "1" + "}" * DEEP,
    "deep XML": "<a>" * DEEP + "</a>" * DEEP,
    "an entity of XML": "<!DOCTYPE a [<!ENTITY b SYSTEM 'file:///etc/hostname'>]><a>&b;</a>",
    "entities of entities": "<!DOCTYPE a [<!ENTITY b 'bb'><!ENTITY c '&b;&b;'>]><a>&c;</a>",
    "digits without end in YAML": "a: " + "9" * 200_000,
    "digits without end in JSON": "[" + "9" * 200_000 + "]",
    "a class of Python": "a: !!python/object/apply:os.system [exit 7]",
    "a date that there is not": "a: 2001-99-99",
    "too long": "a: " + "x" * (1 << 20),
}


@pytest.mark.parametrize("bomb", BOMBS.values(), ids=BOMBS)
def test_a_document_that_is_a_bomb_neither_kills_nor_hangs_the_process(bomb: str, tmp_path: Path) -> None:
    path = tmp_path / "document"
    path.write_text(bomb)
    program = """
import resource, sys
from pathlib import Path
from hamba_core.untrusted import DocumentError, parse_document, read_text
resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
resource.setrlimit(resource.RLIMIT_CPU, (20, 20))
try:
    print("read", str(parse_document(read_text(Path(sys.argv[1]))))[:80])
except DocumentError as error:
    print("refused:", error)
"""
    child = subprocess.run([sys.executable, "-c", program, str(path)], capture_output=True, text=True, timeout=60)
    assert child.returncode == 0, (child.returncode, child.stderr[-2000:])
    expected = "read {'a': ['exit 7']}" if "python/object" in bomb else "refused: "
    assert child.stdout.startswith(expected)
    assert len(child.stdout) < 1000


def test_a_text_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DocumentError, match="UTF-8"):
        read_text(tmp_path / "binary")


@pytest.mark.parametrize("text", ["[NaN]", "[Infinity]", "[-Infinity]"])
def test_json_has_no_infinity(text: str) -> None:
    with pytest.raises(DocumentError, match="not JSON"):
        parse_json(text)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a: 0x" + "f" * 5000, "5002 letters"),  # it could be computed with, and not be shown
        ("a: 1" + ":1" * 1000, "2001 letters"),
        (f"a: [{2**65}]", "66 bits"),
        (f'{{"a": [{2**65}]}}', "66 bits"),
        ('{"a": 1e999}', "too large"),
        ('{"a": "x\\u0000"}', "signs that no text has"),
        ('a: "\\ud800"', "signs that no text has"),
        ('? "\\0"\n: 1', "signs that no text has"),
    ],
)
def test_values_that_cannot_be_computed_with_or_shown_are_refused(text: str, found: str) -> None:
    with pytest.raises(DocumentError, match=found):
        parse_document(text)


def test_the_largest_whole_numbers_are_read() -> None:
    assert parse_yaml(f"a: {2**64}\nb: {-(2**64)}\nc: 0xffff_ffff") == {"a": 2**64, "b": -(2**64), "c": 2**32 - 1}


def test_xml_is_the_text_that_it_is_whatever_its_first_line_calls_it() -> None:
    assert parse_document("<?xml version='1.0' encoding='latin-1'?><a><b>é</b></a>") == {"b": "é"}


@pytest.mark.parametrize(
    "text", ["a: 1\nb: 2\na: 3\n", "x: {a: 1, a: 1}", "x: !!map {a: 1, 'a': 2}", '{"x": {"a": 1, "a": 2}}']
)
def test_a_name_that_stands_twice_is_refused(text: str) -> None:
    with pytest.raises(DocumentError, match="each name once, found a several times"):
        parse_document(text)


def test_what_is_merged_in_may_be_named_again() -> None:
    text = "base: &base {a: 1, b: 2}\nx:\n  <<: *base\n  a: 3\n"
    assert parse_yaml(text)["x"] == {"a": 3, "b": 2}
    assert parse_yaml("[{a: 1}, {a: 2}]") == [{"a": 1}, {"a": 2}]


def test_the_place_of_a_mistake_is_told_in_lines() -> None:
    with pytest.raises(DocumentError, match=r"cannot start any token in line 2, column 1"):
        parse_yaml("a:\n\tb: 1\n")
