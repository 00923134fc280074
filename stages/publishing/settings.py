"""Whether, where and what is published, and who can reach it there."""

from pydantic import Field, field_validator

from stages import wire
from stages.common.address import DEFAULT_ADDRESS, HIGHEST_PORT, has_impossible_port
from stages.settings import StageSettings, UserPath


class PublishSettings(StageSettings):
    """Whether, where and what is published."""

    address: str | None = Field(
        None, description=f"ZeroMQ address to bind, for example {DEFAULT_ADDRESS}; none publishes nothing"
    )
    vertices: wire.VertexForm = Field(
        "float32", description="float32, float16 (half the size, within 0.25 mm nearer than 1 m), or none"
    )
    queue: int = Field(60, ge=1, le=10_000, description="messages queued for a slow subscriber")
    images: bool | None = Field(
        None, description="also publish pictures, as JPEG; none: if only this machine can connect"
    )
    image_width: int = Field(640, ge=16, le=4096, description="largest width of pictures, px")
    image_rate: float = Field(30.0, gt=0, le=240, description="most pictures per second")
    server_key: UserPath | None = Field(
        None, description="CURVE secret key of this publisher, made by `hamba keys new`; none leaves CURVE off"
    )
    clients: UserPath | None = Field(
        None, description="with server_key: folder of the public keys of clients that may connect"
    )

    @field_validator("address")
    @classmethod
    def _is_an_address(cls, address: str | None) -> str | None:
        if address is not None and not address.startswith(("tcp://", "ipc://", "inproc://")):
            raise ValueError(f"expected an address such as {DEFAULT_ADDRESS} or ipc:///tmp/hands")
        if address is not None and has_impossible_port(address):
            raise ValueError(f"expected a port up to {HIGHEST_PORT}")
        return address


def is_local(address: str) -> bool:
    """Return whether only this machine can connect to what is bound there."""
    scheme, _, rest = address.partition("://")
    host = rest.rpartition(":")[0].strip("[]")
    return scheme in {"ipc", "inproc"} or host in {"localhost", "::1"} or host.startswith("127.")
