"""Numbers with their nouns, and names of files as texts, whatever bytes they are of."""

import json
import os
from pathlib import Path
from urllib.parse import unquote_to_bytes, urlsplit

from hypothesis import given, strategies as st

from hamba_core.text import address_of, counted, is_utf8, readable
from stages.common.plain import plain

names = st.binary(min_size=1, max_size=40).filter(lambda name: not set(name) & set(b"/\0")).map(os.fsdecode)


@given(names)
def test_what_people_are_told_can_be_written_and_is_the_name_where_that_is_text(name: str) -> None:
    assert readable(name).encode()
    assert (readable(name) == name) == is_utf8(name)
    assert json.loads(json.dumps(plain({name: Path(name)}), ensure_ascii=False).encode())


@given(names)
def test_an_address_is_text_and_leads_to_the_file(name: str) -> None:
    address = address_of(f"/clips/{name}")
    assert address.encode()
    if is_utf8(name):
        assert address == f"/clips/{name}"
    else:
        assert unquote_to_bytes(urlsplit(address).path) == b"/clips/" + os.fsencode(name)


def test_bytes_are_told_by_their_number() -> None:
    assert readable(os.fsdecode(b"lat\xe9n")) == "lat\\xe9n"


def test_a_number_has_its_noun_in_the_right_form() -> None:
    found = [counted(number, "hand") for number in (0, 1, 2, 12_345)]
    assert found == ["0 hands", "1 hand", "2 hands", "12,345 hands"]
