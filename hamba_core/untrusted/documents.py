"""Small YAML, JSON and XML files as plain dicts, lists, texts and numbers.

Settings and calibrations have a few kB. What is larger, deeper or refers to itself is refused before it costs time or
memory; tags of YAML that name classes are read as the plain values under them.
"""

import json
import math
import re
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final, NoReturn, TypeVar

import yaml

T = TypeVar("T")

LARGEST_DOCUMENT: Final = 256 * 1024
"""The largest document that is read, in bytes. PyYAML takes a few seconds for it."""
DEEPEST: Final = 40
LARGEST_INTEGER: Final = 2**64
"""Whole numbers beyond it are refused: they take long to compute with, and longer to print."""
_LONGEST_INTEGER: Final = 80  # letters
_NO_TEXT: Final = re.compile("[\0\ud800-\udfff]")
"""NUL and halves of letters, which no path or message can hold; escapes can write them."""
_MERGE: Final = "tag:yaml.org,2002:merge"  # <<, which may stand several times
_PLACE: Final = re.compile(r'in "<unicode string>", ')


class DocumentError(ValueError):
    """A file is not what it should be; the message says what was expected and what was found, without the path."""


def read_text(path: Path, largest: int = LARGEST_DOCUMENT) -> str:
    """Return the text of a file, UTF-8, of at most so many bytes. Raises DocumentError, OSError."""
    with path.open("rb") as file:
        data = file.read(largest + 1)
    if len(data) > largest:
        raise DocumentError(f"expected a text of at most {largest} bytes, found a larger one")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        found = f"0x{data[error.start]:02x} as byte {error.start}"
        raise DocumentError(f"expected text in UTF-8, found {found}; is it another kind of file?") from error


def parse_document(text: str) -> Any:
    """Parse a text that is XML, JSON or YAML, told apart by how it begins. Raises DocumentError."""
    match text.lstrip()[:1]:
        case "<":
            return parse_xml(text)
        case "{" | "[":
            return parse_json(text)
    return parse_yaml(text)


def parse_yaml(text: str) -> Any:
    """Parse a text in YAML. OpenCV's first line, which is not YAML, is passed over. Raises DocumentError."""
    _check_size(text)
    if text.startswith("%YAML:"):
        text = text.partition("\n")[2]
    try:
        tree = yaml.load(text, _Loader)
        _check_values(tree)
        return tree
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        found = _PLACE.sub("in ", " ".join(str(error).split()))
        raise DocumentError(f"expected YAML, found: {found:.300}") from error


def parse_json(text: str) -> Any:
    """Parse a text in JSON, which has no NaN and no Infinity. Raises DocumentError."""
    _check_size(text)

    def refuse(constant: str) -> NoReturn:
        raise ValueError(f"{constant}, which is not JSON")

    def names_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        _check_once(("", name) for name, _ in pairs)
        return dict(pairs)

    try:
        tree = json.loads(text, parse_constant=refuse, object_pairs_hook=names_once)
        _check_values(tree, finite=True)
    except (ValueError, RecursionError) as error:
        raise DocumentError(f"expected JSON, found: {str(error) or 'none'}") from error
    return tree


def decode_json(data: bytes, kind: type[T]) -> T:
    """Return what JSON of any size holds, as msgspec's kinds say; fields that they do not name are passed over.

    Raises DocumentError.
    """
    import msgspec

    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.MsgspecError, ValueError) as error:  # also what is no UTF-8
        raise DocumentError(str(error)) from error
    except RecursionError as error:
        raise DocumentError("values nested without end") from error


def parse_xml(text: str) -> Any:
    """Return what the root of an XML text holds: each element a text or, if it has elements, a dict of them by name.

    Attributes are left out. Raises DocumentError.
    """
    from defusedxml.common import DefusedXmlException
    from defusedxml.ElementTree import DefusedXMLParser, ParseError

    _check_size(text)
    target = _Elements()
    # A declaration of types is where entities come from, and those are how a small file becomes a large one.
    parser = DefusedXMLParser(target=target, forbid_dtd=True)
    try:
        parser.feed(text)  # as a text, so that the encoding which its first line names does not count
        parser.close()
    except (ParseError, DefusedXmlException, ValueError) as error:
        raise DocumentError(f"expected XML, found: {error}") from error
    return target.root


def _check_size(text: str) -> None:
    if len(text) > LARGEST_DOCUMENT:
        raise DocumentError(f"expected a text of at most {LARGEST_DOCUMENT} characters, found {len(text)}")


def _check_values(tree: Any, *, finite: bool = False) -> None:
    """Raise DocumentError for values that cannot be computed with, opened or shown; `finite`: for infinity too."""
    level, depth = [tree], 0
    while level:
        depth += 1
        if depth > DEEPEST:
            raise DocumentError(f"values nested more than {DEEPEST} deep")
        members: list[Any] = []
        for value in level:
            if isinstance(value, dict):
                members += [*value, *value.values()]
            elif isinstance(value, list | tuple | set):
                members += value
            elif isinstance(value, int) and abs(value) > LARGEST_INTEGER:
                raise DocumentError(f"a whole number of {value.bit_length()} bits, where 64 are the most")
            elif isinstance(value, float) and finite and not math.isfinite(value):
                raise DocumentError("a number too large to compute with")
            elif isinstance(value, str) and _NO_TEXT.search(value):
                raise DocumentError(f"signs that no text has: {value[:40]!r}")
        level = members


class _Loader(yaml.SafeLoader):
    """It makes plain values alone and, with every alias written out, no more than a document without any can have."""

    def get_single_node(self) -> Any:
        node = super().get_single_node()
        if node is not None and _size(node, {}) > LARGEST_DOCUMENT:
            raise DocumentError("aliases (*name) that repeat without end; write the values out")
        return node

    def compose_node(self, parent: Any, index: Any) -> Any:
        self._depth = getattr(self, "_depth", 0) + 1
        if self._depth > DEEPEST:
            raise DocumentError(f"values nested more than {DEEPEST} deep")
        try:
            return super().compose_node(parent, index)
        finally:
            self._depth -= 1

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        if isinstance(node, yaml.MappingNode):  # PyYAML would take the last, and lose what stands under the others
            keys = (key for key, _ in node.value if isinstance(key, yaml.ScalarNode) and key.tag != _MERGE)
            _check_once((key.tag, key.value) for key in keys)
        return super().construct_mapping(node, deep)

    def _plain(self, suffix: str, node: Any) -> Any:
        if isinstance(node, yaml.MappingNode):
            return self.construct_mapping(node, deep=True)
        if isinstance(node, yaml.SequenceNode):
            return self.construct_sequence(node, deep=True)
        return self.construct_scalar(node)


_Loader.add_multi_constructor("", _Loader._plain)


def _checked(kind: str) -> Callable[[_Loader, Any], Any]:
    """Return what makes values of a kind of YAML's, such as int; what is none is told as damage."""
    construct = yaml.SafeLoader.yaml_constructors[f"tag:yaml.org,2002:{kind}"]

    def made(loader: _Loader, node: Any) -> Any:
        if kind == "int" and isinstance(node.value, str) and len(node.value) > _LONGEST_INTEGER:
            raise DocumentError(f"a whole number of {len(node.value)} letters")
        try:
            return construct(loader, node)
        except (ValueError, ArithmeticError, LookupError, AttributeError) as error:
            where = node.start_mark.line + 1
            raise DocumentError(f"{node.value!s:.40} in line {where}, which is no {kind} of YAML's") from error

    return made


for _kind in ("int", "float", "bool", "timestamp"):  # PyYAML trusts that a value with their tags is one
    _Loader.add_constructor(f"tag:yaml.org,2002:{_kind}", _checked(_kind))


def _check_once(keys: Iterable[tuple[str, str]]) -> None:
    """Raise DocumentError where a key, of a kind and a name, comes several times."""
    for (_, name), count in Counter(keys).items():
        if count > 1:
            raise DocumentError(f"each name once, found {name:.40} several times; put what stands under it together")


def _size(node: Any, known: dict[Any, float]) -> float:
    """Return how many values a node of YAML holds, counting aliases each time; infinity for one that holds itself."""
    if node in known:
        return known[node]
    known[node] = math.inf
    if isinstance(node, yaml.MappingNode):
        inner = [part for pair in node.value for part in pair]
    else:
        inner = node.value if isinstance(node, yaml.SequenceNode) else []
    known[node] = 1 + sum(_size(part, known) for part in inner)
    return known[node]


class _Elements:
    """It keeps the tree of what an XML parser tells."""

    def __init__(self) -> None:
        self.root: Any = {}
        self._open: list[tuple[dict[str, Any], list[str]]] = []

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        if len(self._open) >= DEEPEST:
            raise DocumentError(f"elements nested more than {DEEPEST} deep")
        self._open.append(({}, []))

    def data(self, text: str) -> None:
        if self._open:
            self._open[-1][1].append(text)

    def end(self, tag: str) -> None:
        elements, texts = self._open.pop()
        value = elements or "".join(texts).strip()
        if self._open:
            self._open[-1][0][tag] = value
        else:
            self.root = value

    def close(self) -> None:
        """Do nothing: the parser asks for this method."""
