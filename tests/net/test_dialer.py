"""The dialler: the socket goes to the address that was judged, and TLS to the name; looking up harms nobody else."""

import asyncio
import datetime
import ipaddress
import socket
import ssl
import threading
from collections.abc import AsyncIterator
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.datastructures import Headers
from websockets.http11 import Request, Response

from nostrbot.net import dialer as dialler
from nostrbot.net.dialer import PublicDialer, Resolver, connect_at

NAME = "inbox.example.com"


class TlsRelay:
    """A server with a certificate of its own making, on 127.0.0.1. `names`: what TLS asked for; `hosts`: what HTTP did."""

    def __init__(self, folder: Path, name: str) -> None:
        self.names: list[str] = []
        self.hosts: list[str] = []
        self.redirect_to: str | None = None
        self.port = 0
        key = ec.generate_private_key(ec.SECP256R1())
        called = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "a test")])
        now = datetime.datetime.now(datetime.UTC)
        built = (
            x509.CertificateBuilder()
            .subject_name(called)
            .issuer_name(called)
            .public_key(key.public_key())
            .serial_number(1)
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(key, hashes.SHA256())
        )
        pem = serialization.Encoding.PEM
        self.certificate = folder / "certificate.pem"
        self.certificate.write_bytes(built.public_bytes(pem))
        key_file = folder / "key.pem"
        key_file.write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.tls.load_cert_chain(self.certificate, key_file)
        self.tls.sni_callback = lambda _socket, name, _context: self.names.append(name)

    def trusted(self) -> ssl.SSLContext:
        """What a client has whose system knows the certificate."""
        return ssl.create_default_context(cafile=str(self.certificate))

    async def greet(self, connection: ServerConnection) -> None:
        await connection.wait_closed()

    def answer(self, _: ServerConnection, request: Request) -> Response | None:
        self.hosts.append(request.headers["Host"])
        if self.redirect_to is None:
            return None
        headers = Headers({"Location": self.redirect_to, "Content-Length": "0"})
        return Response(HTTPStatus.FOUND.value, "Found", headers)


@pytest.fixture
async def relay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[TlsRelay]:
    it = TlsRelay(tmp_path, NAME)
    server: Server
    async with serve(it.greet, "127.0.0.1", 0, ssl=it.tls, process_request=it.answer) as server:
        it.port = next(iter(server.sockets)).getsockname()[1]
        yield it


async def test_the_socket_goes_to_the_address_and_tls_to_the_name(relay: TlsRelay) -> None:
    """The name is not looked up again (this one has no address): it is only told to the relay, and checked in its certificate."""
    connection = await connect_at(f"wss://{NAME}:{relay.port}/inbox", "127.0.0.1", relay.trusted())
    await connection.close()
    assert relay.names == [NAME]
    assert relay.hosts == [f"{NAME}:{relay.port}"]


async def test_a_certificate_for_another_name_is_refused(relay: TlsRelay) -> None:
    """Nothing is told to whoever happens to be at that address."""
    with pytest.raises(ssl.SSLCertVerificationError):
        await connect_at(f"wss://other.example.com:{relay.port}", "127.0.0.1", relay.trusted())
    assert relay.hosts == []


async def test_a_redirect_is_not_followed_to_elsewhere(relay: TlsRelay) -> None:
    """A public relay must not send us into our own network."""
    relay.redirect_to = "wss://169.254.169.254/"
    with pytest.raises(ConnectionRefusedError, match="a redirect to elsewhere"):
        await connect_at(f"wss://{NAME}:{relay.port}", "127.0.0.1", relay.trusted())
    assert len(relay.hosts) == 1


async def test_a_proxy_of_the_environment_is_not_used(relay: TlsRelay, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would look the name up by itself, and the address that was judged would mean nothing."""
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:1")
    connection = await connect_at(f"wss://{NAME}:{relay.port}", "127.0.0.1", relay.trusted())
    await connection.close()
    assert relay.hosts == [f"{NAME}:{relay.port}"]


async def test_a_name_that_was_public_when_announced_and_is_private_now_is_not_dialled(relay: TlsRelay) -> None:
    """DNS rebinding: what counts is the address at the moment of connecting."""

    async def look_up(host: str, port: int) -> list[str]:
        return ["127.0.0.1"]

    with pytest.raises(ConnectionRefusedError, match="a name of a private address"):
        await PublicDialer(look_up)(f"wss://{NAME}:8443")


async def test_the_second_address_is_tried_and_no_third(monkeypatch: pytest.MonkeyPatch) -> None:
    """One dead address is no reason to give up, three are no reason to wait."""
    tried: list[str] = []

    async def look_up(host: str, port: int) -> list[str]:
        return ["8.8.8.8", "1.1.1.1", "9.9.9.9"]

    async def dead(url: str, address: str, tls: ssl.SSLContext) -> Any:
        tried.append(address)
        raise ConnectionResetError("dead")

    monkeypatch.setattr(dialler, "connect_at", dead)
    with pytest.raises(ConnectionResetError):
        await PublicDialer(look_up)(f"wss://{NAME}")
    assert tried == ["8.8.8.8", "1.1.1.1"]


async def test_the_system_is_asked_for_addresses() -> None:
    """An address stands for itself in every resolver; a name that nobody has is an OSError."""
    addresses = await Resolver()("127.0.0.1", 443)
    assert [ipaddress.ip_address(one).is_loopback for one in addresses] == [True]
    with pytest.raises(OSError, match=r"."):
        await Resolver()("a" * 64 + ".example.com", 443)


async def test_a_name_server_that_never_answers_costs_time_and_few_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """A look-up ends in time though its thread does not, and only so many threads may hang; they are free again later."""
    released = threading.Event()

    def hang(*_: Any, **__: Any) -> list[Any]:
        released.wait(10)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("8.8.8.8", 443))]

    monkeypatch.setattr(dialler.socket, "getaddrinfo", hang)
    monkeypatch.setattr(dialler, "LOOK_UP_S", 0.05)
    resolver = Resolver()
    outcomes = await asyncio.gather(*[resolver(NAME, 443) for _ in range(20)], return_exceptions=True)
    assert [type(one) for one in outcomes] == [TimeoutError] * 20
    hanging = [thread for thread in threading.enumerate() if thread.name == "resolver"]
    assert len(hanging) == dialler.LOOK_UPS_MAX
    assert all(thread.daemon for thread in hanging)

    released.set()
    for thread in hanging:
        await asyncio.to_thread(thread.join, 5)
    await asyncio.sleep(0)
    assert await resolver(NAME, 443) == ["8.8.8.8"]
