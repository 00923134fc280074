"""What the tables of a transport stream say of its videos, and where that changes."""

from itertools import count

from hypothesis import given, strategies as st

from stages.sources.decoding.transport import TableWatch, transport_packets

H264, HEVC, AUDIO = 0x1B, 0x24, 0x0F
Streams = list[tuple[int, int]]  # identifier and type


def checksum(data: bytes) -> bytes:
    register = 0xFFFFFFFF
    for byte in data:
        for bit in range(8):
            top = register >> 31 ^ byte >> (7 - bit) & 1
            register = register << 1 & 0xFFFFFFFF ^ (0x04C11DB7 if top else 0)
    return register.to_bytes(4, "big")


def section(kind: int, extension: int, body: bytes, *, current: bool = True, part: tuple[int, int] = (0, 0)) -> bytes:
    head = extension.to_bytes(2, "big") + bytes([0xC0 | current, *part])
    length = 0xB000 | len(head) + len(body) + 4
    whole = bytes([kind]) + length.to_bytes(2, "big") + head + body
    return whole + checksum(whole)


def packets(identifier: int, data: bytes) -> bytes:
    """The packets of a table."""
    found, data = b"", b"\0" + data
    for number in count():
        begins = 0x40 if number == 0 else 0
        found += bytes([0x47, begins | identifier >> 8, identifier & 255, 0x10]) + data[:184].ljust(184, b"\xff")
        data = data[184:]
        if not data:
            return found
    return found


def programs(tables: dict[int, int], part: tuple[int, int] = (0, 0)) -> bytes:
    body = b"".join(number.to_bytes(2, "big") + (0xE000 | table).to_bytes(2, "big") for number, table in tables.items())
    return packets(0, section(0, 1, body, part=part))


def program(number: int, table: int, streams: Streams, *, padding: int = 0, current: bool = True) -> bytes:
    body = b"\xe1\x00" + (0xF000 | padding).to_bytes(2, "big") + b"\xff" * padding
    for identifier, kind in streams:
        body += bytes([kind]) + (0xE000 | identifier).to_bytes(2, "big") + b"\xf0\x00"
    return packets(table, section(2, number, body, current=current))


def payload(identifier: int, number: int = 3) -> bytes:
    return (bytes([0x47, identifier >> 8, identifier & 255, 0x10]) + b"\x47" * 184) * number


def changes(data: bytes, identifier: int | None = None, chunk: int = 32768) -> tuple[int, int] | None:
    watch = TableWatch(188, 0, identifier)
    for at in range(0, len(data), chunk):
        found = watch.feed(data[at : at + chunk], at)
        if found is not None:
            return found
    return None


LIST = programs({1: 0x1000})
FIRST = LIST + program(1, 0x1000, [(256, H264), (257, AUDIO)]) + payload(256)


def test_another_type_is_a_change_that_begins_with_the_list_before_it() -> None:
    again = program(1, 0x1000, [(256, HEVC), (257, AUDIO)])
    assert changes(FIRST + LIST + payload(256) + again) == (len(FIRST) + len(LIST) + 3 * 188, len(FIRST))


def test_tables_that_stay_are_no_change() -> None:
    assert changes(FIRST * 5) is None
    more = program(1, 0x1000, [(256, H264), (257, AUDIO), (258, AUDIO), (259, H264)])
    assert changes(FIRST + LIST + more + payload(256)) is None


def test_a_table_for_later_and_a_damaged_one_are_no_change() -> None:
    assert changes(FIRST + program(1, 0x1000, [(256, HEVC)], current=False)) is None
    damaged = bytearray(program(1, 0x1000, [(256, HEVC)]))
    damaged[20] ^= 1
    assert changes(FIRST + bytes(damaged)) is None


def test_of_several_programs_the_one_that_is_read_matters() -> None:
    data = programs({1: 0x1000, 2: 0x1001}) + program(1, 0x1000, [(256, H264)]) + program(2, 0x1001, [(300, H264)])
    changed = data + program(2, 0x1001, [(301, HEVC)])
    assert changes(changed) == (len(data), 0)
    assert changes(changed, 300) == (len(data), 0)
    assert changes(changed, 256) is None


def test_a_program_that_takes_the_place_of_another_is_a_change() -> None:
    data = FIRST + programs({7: 0x1007})
    assert changes(data) is None  # nothing is known yet of what it has
    assert changes(data + program(7, 0x1007, [(300, H264)])) == (len(data), len(FIRST))
    assert (
        changes(FIRST + programs({7: 0x1007}) + program(7, 0x1007, [(256, H264)])) is None
    )  # the same under a new name


def test_a_list_in_two_parts_is_no_change_each_time() -> None:
    both = programs({1: 0x1000}, (0, 1)) + programs({2: 0x1001}, (1, 1))
    tables = program(1, 0x1000, [(256, H264)]) + program(2, 0x1001, [(300, H264)])
    assert changes((both + tables + payload(256)) * 4) is None


@given(st.integers(1, 3000), st.integers(0, 500), st.integers(0, 400))
def test_however_the_bytes_come_the_change_is_found(chunk: int, padding: int, junk: int) -> None:
    begin = b"\x11" * junk + FIRST
    data = begin + LIST + program(1, 0x1000, [(256, HEVC)], padding=padding) + payload(256)
    found = changes(data, chunk=chunk)
    assert found is not None
    assert found[1] == len(begin)
    assert len(begin) < found[0] < len(data)


@given(st.binary(max_size=2000))
def test_nothing_that_comes_ends_it(data: bytes) -> None:
    assert changes(data, chunk=500) is None
    assert changes(FIRST + data) is None


def test_packets_are_known_by_their_sync() -> None:
    assert transport_packets(FIRST) == (188, 0)
    timed = b"".join(b"\0\x12\x34\x56" + FIRST[at : at + 188] for at in range(0, len(FIRST), 188))
    assert transport_packets(timed) == (192, 4)
    assert transport_packets(FIRST[77:]) == (188, 0)
    assert transport_packets(b"\x00\x01" * 1000) is None
    assert transport_packets(b"") is None
