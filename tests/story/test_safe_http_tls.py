"""The outbound client and certificates: the name is checked, whatever the address."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from purvey.server.kit.safe_http import SafeHttp
from receivers import Names, answered, failed, post, receiving


@pytest.fixture
async def client() -> AsyncIterator[SafeHttp]:
    client = SafeHttp(allow_private=True)
    yield client
    await client.close()


@dataclass(frozen=True)
class Certificates:
    """A certificate authority of the test's own, the context that trusts it, and a server context for a name."""

    folder: Path
    trust: ssl.SSLContext
    key: ec.EllipticCurvePrivateKey
    name: x509.Name

    def server(self, *, host: str = "shop.test", days: int = 1) -> ssl.SSLContext:
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = _certificate(host, key.public_key(), self.name, self.key, days=days)
        path = self.folder / f"{host}.pem"
        private = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        path.write_bytes(
            key.private_bytes(serialization.Encoding.PEM, *private)
            + certificate.public_bytes(serialization.Encoding.PEM)
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        return context


def _certificate(
    host: str | None,
    public: ec.EllipticCurvePublicKey,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    *,
    days: int,
) -> x509.Certificate:
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(issuer if host is None else x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)]))
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=9))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=host is None, path_length=None), critical=True)
    )
    if host is not None:
        literal = host.replace(".", "").isdigit()
        name = x509.IPAddress(ip_address(host)) if literal else x509.DNSName(host)
        builder = builder.add_extension(x509.SubjectAlternativeName([name]), critical=False)
    return builder.sign(key, hashes.SHA256())


@pytest.fixture
def certificates(tmp_path: Path) -> Certificates:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "the test's own authority")])
    authority = _certificate(None, key.public_key(), name, key, days=1).public_bytes(serialization.Encoding.PEM)
    return Certificates(tmp_path, ssl.create_default_context(cadata=authority.decode()), key, name)


def _shop(certificates: Certificates) -> SafeHttp:
    return SafeHttp(allow_private=True, resolver=Names(shop_test=["127.0.0.1"]), tls=certificates.trust)


async def test_the_certificate_and_sni_are_those_of_the_name_not_of_the_address(certificates: Certificates) -> None:
    asked_for: list[str | None] = []
    context = certificates.server()
    context.sni_callback = lambda _socket, name, _context: asked_for.append(name)
    client = _shop(certificates)
    async with receiving(tls=context) as receiver:
        for _ in range(3):
            answer = answered(await post(client, f"https://shop.test:{receiver.port}/"))
        await client.close()
    assert (answer.body, asked_for, receiver.connections) == (b"ok", ["shop.test"], 1)
    assert f"Host: shop.test:{receiver.port}" in receiver.heads[0]


async def test_a_certificate_for_an_address_is_accepted_for_that_address(certificates: Certificates) -> None:
    client = _shop(certificates)
    async with receiving(tls=certificates.server(host="127.0.0.1")) as receiver:
        answered(await post(client, f"https://127.0.0.1:{receiver.port}/"))
        await client.close()


@pytest.mark.parametrize(("host", "days"), [("other.test", 1), ("127.0.0.1", 1), ("shop.test", -1)])
async def test_a_certificate_of_another_name_or_time_fails_at_tls(
    certificates: Certificates, host: str, days: int
) -> None:
    client = _shop(certificates)
    async with receiving(tls=certificates.server(host=host, days=days)) as receiver:
        failure = failed(await post(client, f"https://shop.test:{receiver.port}/"))
        await client.close()
    assert failure.stage == "tls"
    assert failure.reason.startswith("The certificate of shop.test is not valid: ")
    assert receiver.heads == []


async def test_a_certificate_of_an_unknown_authority_fails_at_tls(certificates: Certificates, client: SafeHttp) -> None:
    async with receiving(tls=certificates.server(host="127.0.0.1")) as receiver:
        failure = failed(await post(client, f"https://127.0.0.1:{receiver.port}/"))
    assert failure.stage == "tls"
    assert receiver.heads == []


async def test_plain_http_on_a_tls_port_fails_at_tls(client: SafeHttp) -> None:
    async def handler(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await writer.drain()

    async with receiving(handler) as receiver:
        assert failed(await post(client, f"https://127.0.0.1:{receiver.port}/")).stage == "tls"
