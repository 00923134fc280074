"""What is secret in an address is shown nowhere, however the address is written."""

import copy
import json
import pickle
import traceback

import pytest
from hypothesis import given, strategies as st

from hamba_core.errors import HambaError
from stages.sources import source_for
from stages.sources.address import hint, redacted, revealed, source_name

SECRET = "SeKret"
FORMS = [
    "rtsp://admin:SeKret@127.0.0.1:1/live",
    "rtsp://SeKret@127.0.0.1:1/live",  # a token for a user name
    "rtsp://SeKret:@127.0.0.1:1/live",
    "rtsp://:SeKret@127.0.0.1:1/live",
    "rtsp://admin:a/SeKret@127.0.0.1:1/x",
    "rtsp://admin:SeKret/b@127.0.0.1:1/x",
    "rtsp://admin:SeKret#b@127.0.0.1:1/x",
    "rtsp://admin:a#SeKret@127.0.0.1:1/x",
    "rtsp://admin:a?SeKret@127.0.0.1:1/x",
    "rtsp://admin:SeKret?b@127.0.0.1:1/x",
    "rtsp://admin:[SeKret@127.0.0.1:1/x",
    "rtsp://admin:SeKret]@127.0.0.1:1/x",
    "rtsp://admin:a@SeKret@127.0.0.1:1/x",
    "rtsp://admin:SeKret@b@127.0.0.1:1/x",
    "rtsp://admin:Se Kret SeKret@127.0.0.1:1/x",
    "rtsp://admin:%53SeKret%40@127.0.0.1:1/x",
    "rtsp://ad/min:SeKret@127.0.0.1:1/x",
    "RTSP://ADMIN:SeKret@127.0.0.1:1/x",
    "rtsps://admin:SeKret@127.0.0.1:1/x",
    "http://127.0.0.1:1/video?user=SeKret&password=SeKret",
    "http://127.0.0.1:1/video?fps=10&token=SeKret",
    "http://127.0.0.1:1/video?SeKret",
    "http://127.0.0.1:1/video?a=1;pwd=SeKret;b=2",
    "http://127.0.0.1:1/video?access_token=SeKret#SeKret",
    "http://127.0.0.1:1/video#token=SeKret",
    "http://admin:SeKret@127.0.0.1:1/video?password=SeKret",
    "http://127.0.0.1:1/user=admin_password=SeKret_channel=1.sdp",
    "http://127.0.0.1:1/cgi;password=SeKret/video",
    "http://127.0.0.1:1/video?what=SeKret",
    "https://SeKret:SeKret@127.0.0.1:1/",
    "rtmp://127.0.0.1:1/live?key=SeKret",
    "srt://127.0.0.1:1?passphrase=SeKretSeKret&latency=10",
    "rtsp:/admin:SeKret@127.0.0.1/x",
    "rtsp:admin:SeKret@127.0.0.1/x",
    "rtsp:///admin:SeKret@127.0.0.1/x",
    "//admin:SeKret@127.0.0.1/x",
    "admin:SeKret@127.0.0.1/x",
    "admin:Se/SeKret@127.0.0.1",
    "foo://admin:SeKret@127.0.0.1/x",
    "ftp://admin:SeKret@127.0.0.1/x",
    "rstp://admin:SeKret@127.0.0.1/x",
    " rtsp://admin:SeKret@127.0.0.1:1/x",
    "rtsp://admin:SeKret@",
    "rtsp://admin:SeKret@[::1/x",
    "rtsp://admin:SeKret@127.0.0.1:99999999/x",
    "rtsp://admin:SeKret@host name/x",
    "rtsp//admin:SeKret@127.0.0.1/x",
    "rtsp;//admin:SeKret@127.0.0.1/x",
    "rtsp%3A//admin:SeKret@127.0.0.1/x",
    "rtsp ://admin:SeKret@127.0.0.1/x",
    "rtsp: //admin:SeKret@127.0.0.1/x",
    "rtsp:\\\\admin:SeKret@127.0.0.1\\x",
    "127.0.0.1/video.cgi?user=admin&pwd=SeKret",
    "camera.local:80/mjpg?token=SeKret",
    "camera.local/mjpg?fps=5&access_token=SeKret",
    "http//127.0.0.1/x?password=SeKret",
    "file://admin:SeKret@127.0.0.1/x",
]


@pytest.mark.parametrize("address", FORMS)
def test_an_address_shows_no_secret_in_whatever_way_it_is_shown(address: str) -> None:
    name = source_name(address)
    ways = (name, str(name), repr(name), f"{name}", f"{name:>200}", "%s" % name, name[:], name + "", name.upper())  # noqa: UP031
    for way in (*ways, json.dumps(name), ",".join([name]), str([name]), str({name: name})):
        assert SECRET.lower() not in way.lower(), way
    assert revealed(name) == address
    assert revealed(pickle.loads(pickle.dumps(name))) == revealed(copy.deepcopy(name)) == address
    assert source_name(name) is name
    assert redacted(name) == name


@pytest.mark.parametrize("address", FORMS)
def test_an_error_of_a_source_has_no_secret_in_it(address: str) -> None:
    with pytest.raises(HambaError) as caught:
        source_for(address).open()
    assert SECRET.lower() not in "".join(traceback.format_exception(caught.value)).lower()


@pytest.mark.parametrize(
    "name",
    [
        *("synthetic:?seconds=3&fps=10&width=320&height=240", "synthetic:?hands=1&seed=2"),
        *("clip.mp4", "a@b.mp4", "0", "/dev/video0", "shots/*.jpg", "C:/a:b", "synthetic:hands=2", "file:///a@b:c.mp4"),
        *(
            "rtsp://cam/1",
            "http://cam:80/x.mjpg?fps=5&resolution=640x480",
            "udp://0.0.0.0:1234?fifo_size=5",
            "20:15.mp4",
        ),
        "http://[::1/x",
    ],
)
def test_what_has_no_secret_stays_as_it_is(name: str) -> None:
    assert source_name(name) is name


def test_where_the_camera_is_stays_to_be_seen() -> None:
    assert source_name("rtsp://u:p@cam:554/1") == "rtsp://***@cam:554/1"
    assert source_name("http://cam/v?user=a&fps=5") == "http://cam/v?user=***&fps=5"
    assert source_name("rtsp://u:p@cam/1") != source_name("rtsp://u:q@cam/1")
    assert len({source_name("rtsp://u:p@cam/1"), source_name("rtsp://u:q@cam/1")}) == 2


@pytest.mark.parametrize("sign", list("/?#@[] "))
def test_signs_that_end_a_password_bring_a_hint(sign: str) -> None:
    assert "%2F" in hint(f"rtsp://admin:a{sign}b@cam/x")
    assert not hint("rtsp://admin:ab@cam/x")


@given(st.text(max_size=60))
def test_redacting_never_fails_and_comes_to_rest(text: str) -> None:
    assert redacted(redacted(text)) == redacted(text)


def test_a_misspelt_scheme_is_no_part_of_the_password() -> None:
    assert not hint("rtsp//user:password@camera/live")
    assert "%2F" in hint("rtsp//user:pass/word@camera/live")
