"""Mail leaves by a real SMTP server or into the built-in mailbox; what came of it is recorded with the end of its job."""

import asyncio
import contextlib
import datetime as dt
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from email import message_from_bytes
from pathlib import Path
from typing import Any
from uuid import uuid4

import msgspec
import pytest
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from fakes import FakeClock
from purvey.server.jobs import store as jobs
from purvey.server.jobs.model import Job, Recorded
from purvey.server.kit.crypto import Keyring
from purvey.server.kit.database import Database, Record
from purvey.server.kit.ids import Ids
from purvey.server.kit.tools import Tools
from purvey.server.mail import actions
from purvey.server.mail.model import Facts, NewMessage, Template
from purvey.server.mail.render import read_sender
from purvey.server.mail.rules import RETRY_AFTER
from purvey.server.mail.transports import Mailbox, Smtp, Transport, choose, read_url
from purvey.server.mail.work import SendMail

SENDER = read_sender("The Shop <shop@shop.example>")
BASE_URL = "https://shop.example"
LEASE = dt.timedelta(seconds=45)


@dataclass
class Post:
    """A mail server's mind: what it answers, in turn, to RCPT and DATA ("250 OK" when nothing is left), and what it took."""

    rcpt: list[str] = field(default_factory=list)
    data: list[str] = field(default_factory=list)
    taken: list[Envelope] = field(default_factory=list)
    logins: list[tuple[bytes, bytes, bool]] = field(default_factory=list)
    port: int = 0

    async def handle_RCPT(  # noqa: N802  # the library's name
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        said = self.rcpt.pop(0) if self.rcpt else "250 OK"
        if said.startswith("250"):
            envelope.rcpt_tos.append(address)
        return said

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802  # same
        said = self.data.pop(0) if self.data else "250 OK"
        if said.startswith("250"):
            self.taken.append(envelope)
        return said

    def login(self, _server: SMTP, session: Session, _envelope: Envelope, _mechanism: str, given: Any) -> AuthResult:
        assert isinstance(given, LoginPassword)
        self.logins.append((given.login, given.password, session.ssl is not None))
        return AuthResult(success=given.password == b"right")

    @property
    def message_ids(self) -> list[str]:
        return [str(message_from_bytes(content(envelope))["Message-ID"]) for envelope in self.taken]


def content(envelope: Envelope) -> bytes:
    assert isinstance(envelope.content, bytes)
    return envelope.content


@contextlib.asynccontextmanager
async def post_office(post: Post, **options: Any) -> AsyncIterator[Post]:
    loop = asyncio.get_running_loop()
    options.setdefault("enable_SMTPUTF8", False)
    server = await loop.create_server(lambda: SMTP(post, hostname="post.example", loop=loop, **options), "127.0.0.1", 0)
    post.port = server.sockets[0].getsockname()[1]
    try:
        yield post
    finally:
        server.close()
        await server.wait_closed()


@pytest.fixture
async def post() -> AsyncIterator[Post]:
    """A mail server on a free port."""
    async with post_office(Post()) as opened:
        yield opened


@pytest.fixture
def clock() -> FakeClock:
    """A clock that moves when told to."""
    return FakeClock()


@pytest.fixture
def tools(database: Database, clock: FakeClock) -> Tools:
    """The world of the tests."""
    return Tools(database, clock, Ids(), Keyring(["a secret key of the tests, long enough"]), BASE_URL)


async def queue(
    tools: Tools, message_id: str = "msg_1", recipient: str = "buyer@example.com", order_id: str = "ord_1"
) -> None:
    """Queue a message as an order does."""
    facts = Facts(
        listing_name="A good book",
        amount=500,
        currency="USD",
        seller_name="Ines",
        seller_email="ines@seller.example",
        order_id=order_id,
        content_type="static",
    )
    message = NewMessage(
        account_id="acc_1",
        id=message_id,
        template=Template.READY,
        order_id=order_id,
        recipient=recipient,
        facts=msgspec.Raw(msgspec.json.encode(facts)),
        sealed=tools.keyring.seal("tOkEn"),
    )
    await tools.database.write(
        "SELECT messages_queue($1::message_new[], $2)", [msgspec.structs.astuple(message)], tools.clock.now()
    )


async def claim(tools: Tools) -> list[Job]:
    """Lease what is due, as a worker does."""
    now = tools.clock.now()
    return await jobs.claim(tools.database, {"mail": 8}, {}, per_lane=8, token=uuid4(), now=now, until=now + LEASE)


async def work(tools: Tools, transport: Transport) -> int:
    """Do all that is due once, and return how many jobs that were."""
    kind = SendMail(tools, transport, SENDER)
    claimed = await claim(tools)
    for job, message in zip(claimed, await kind.load(claimed), strict=True):
        assert message is not None
        assert await kind.run(job, message) == Recorded()
    return len(claimed)


def smtp(post: Post) -> Smtp:
    return Smtp(read_url(f"smtp://127.0.0.1:{post.port}"))


async def row(tools: Tools, message_id: str = "msg_1") -> Record:
    found = await tools.database.row("SELECT status, attempts, error, sent_at FROM messages WHERE id = $1", message_id)
    assert found is not None
    return found


async def jobs_left(tools: Tools) -> list[tuple[int, dt.datetime]]:
    rows = await tools.database.rows("SELECT attempt, due_at FROM jobs ORDER BY due_at")
    return [(found["attempt"], found["due_at"]) for found in rows]


async def test_an_accepted_message_is_sent_once(tools: Tools, post: Post) -> None:
    await queue(tools)
    assert await work(tools, smtp(post)) == 1
    [envelope] = post.taken
    assert (envelope.mail_from, envelope.rcpt_tos) == ("shop@shop.example", ["buyer@example.com"])
    assert b"https://shop.example/access/tOkEn" in content(envelope)
    assert tuple(await row(tools)) == ("sent", 1, None, tools.clock.now())
    assert await jobs_left(tools) == []
    assert await work(tools, smtp(post)) == 0


async def test_a_temporary_refusal_is_tried_again_after_a_minute(tools: Tools, clock: FakeClock, post: Post) -> None:
    post.rcpt = ["450 4.2.0 greylisted"]
    await queue(tools)
    await work(tools, smtp(post))
    assert tuple(await row(tools)) == ("waiting", 1, "450 4.2.0 greylisted", None)
    assert await jobs_left(tools) == [(2, clock.now() + dt.timedelta(minutes=1))]
    assert await work(tools, smtp(post)) == 0
    clock.advance(minutes=1)
    assert await work(tools, smtp(post)) == 1
    assert tuple(await row(tools)) == ("sent", 2, None, clock.now())
    assert post.message_ids == ["<msg_1@shop.example>"]


async def test_a_mailbox_that_does_not_exist_is_given_up_at_once(tools: Tools, post: Post) -> None:
    post.rcpt = ["550 5.1.1 no such mailbox"]
    await queue(tools)
    await work(tools, smtp(post))
    assert tuple(await row(tools)) == ("given_up", 1, "550 5.1.1 no such mailbox", None)
    assert await jobs_left(tools) == []


@pytest.mark.parametrize(
    ("rcpt", "data"),
    [(["554 5.7.1 relaying denied"], []), ([], ["554 5.6.0 not like this"]), ([], ["451 disk full"])],
)
async def test_what_the_operator_can_mend_is_tried_again(
    tools: Tools, post: Post, rcpt: list[str], data: list[str]
) -> None:
    post.rcpt, post.data = rcpt, data
    await queue(tools)
    await work(tools, smtp(post))
    assert (await row(tools))["status"] == "waiting"
    assert [attempt for attempt, _ in await jobs_left(tools)] == [2]


async def test_a_server_that_is_away_is_tried_again_until_the_schedule_ends(tools: Tools, clock: FakeClock) -> None:
    async with post_office(Post()) as closed:
        away = smtp(closed)
    await queue(tools)
    for attempt, wait in enumerate(RETRY_AFTER, start=1):
        assert await work(tools, away) == 1
        assert tuple(await row(tools))[:2] == ("waiting", attempt)
        clock.advance(seconds=wait.total_seconds())
    assert await work(tools, away) == 1
    found = await row(tools)
    assert tuple(found)[:2] == ("given_up", len(RETRY_AFTER) + 1)
    assert f"127.0.0.1:{closed.port}" in found["error"]
    assert await jobs_left(tools) == []


async def test_a_server_that_hangs_up_is_tried_again(tools: Tools) -> None:
    async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()
        await writer.wait_closed()

    async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        await queue(tools)
        await work(tools, Smtp(read_url(f"smtp://127.0.0.1:{port}")))
    assert (await row(tools))["status"] == "waiting"


async def test_the_lane_learns_whether_the_server_failed(tools: Tools, post: Post) -> None:
    async def failed_in_row() -> int:
        return int(await tools.database.value("SELECT failed_in_row FROM lanes WHERE id = 'mail'"))

    async with post_office(Post()) as closed:
        away = smtp(closed)
    await queue(tools, "msg_1", order_id="ord_1")
    await work(tools, away)
    assert await failed_in_row() == 1
    post.rcpt = ["550 5.1.1 no such mailbox"]
    await queue(tools, "msg_2", order_id="ord_2")
    await work(tools, smtp(post))
    assert await failed_in_row() == 0


async def test_who_lost_the_lease_records_nothing_and_the_mail_keeps_its_id(
    tools: Tools, clock: FakeClock, post: Post
) -> None:
    await queue(tools)
    kind = SendMail(tools, smtp(post), SENDER)
    [slow] = await claim(tools)
    [message] = await kind.load([slow])
    assert message is not None
    clock.advance(seconds=LEASE.total_seconds())
    assert await jobs.rescue(tools.database, clock.now()) == 1
    assert await kind.run(slow, message) == Recorded()
    assert tuple(await row(tools)) == ("waiting", 0, None, None)
    assert await work(tools, smtp(post)) == 1
    assert tuple(await row(tools)) == ("sent", 1, None, clock.now())
    assert post.message_ids == ["<msg_1@shop.example>"] * 2


async def test_a_message_that_was_settled_before_is_not_loaded(tools: Tools, post: Post) -> None:
    await queue(tools)
    kind = SendMail(tools, smtp(post), SENDER)
    [job] = await claim(tools)
    await tools.database.write("UPDATE messages SET status = 'given_up'")
    assert await kind.load([job, msgspec.structs.replace(job, ref="msg_unknown")]) == [None, None]


async def test_one_batch_brings_each_job_its_own_message(tools: Tools, post: Post) -> None:
    for number in range(5):
        await queue(tools, f"msg_{number}", f"buyer{number}@example.com", f"ord_{number}")
    assert await work(tools, smtp(post)) == 5
    got = {envelope.rcpt_tos[0]: number for envelope, number in zip(post.taken, post.message_ids, strict=True)}
    assert got == {f"buyer{number}@example.com": f"<msg_{number}@shop.example>" for number in range(5)}


async def test_an_odd_mailbox_name_is_given_up_when_the_server_cannot_take_it(tools: Tools, post: Post) -> None:
    await queue(tools, recipient="jörg@example.com")
    await work(tools, smtp(post))
    assert (await row(tools))["status"] == "given_up"


async def test_an_odd_mailbox_name_is_reached_where_the_server_can_take_it(tools: Tools) -> None:
    async with post_office(Post(), enable_SMTPUTF8=True) as post:
        await queue(tools, recipient="jörg@example.com")
        await work(tools, smtp(post))
    assert post.taken[0].rcpt_tos == ["jörg@example.com"]
    assert "To: jörg@example.com\r\n".encode() in content(post.taken[0])


async def test_an_address_that_no_mail_can_reach_is_given_up(tools: Tools, post: Post) -> None:
    await queue(tools, recipient="jo@" + "ü" * 63 + ".example")
    await work(tools, smtp(post))
    found = await row(tools)
    assert found["status"] == "given_up"
    assert "no address that mail can be sent to" in found["error"]


@pytest.fixture
def tls(tmp_path: Path) -> ssl.SSLContext:
    """A server's TLS with a certificate that it made itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "post.example")])
    begin = dt.datetime.now(dt.UTC) - dt.timedelta(days=1)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(begin + dt.timedelta(days=30))
        .sign(key, hashes.SHA256())
    )
    file = tmp_path / "post.pem"
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    file.write_bytes(private + certificate.public_bytes(Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return context


@pytest.mark.parametrize(("password", "status"), [("right", "sent"), ("wrong", "waiting")])
async def test_starttls_is_used_where_it_is_offered_before_the_password_is_told(
    tools: Tools, tls: ssl.SSLContext, password: str, status: str
) -> None:
    post = Post()
    async with post_office(post, tls_context=tls, require_starttls=True, authenticator=post.login, auth_required=True):
        await queue(tools)
        # This server leaves a client that it has turned away without an answer; so the deadline is what ends it.
        await work(tools, Smtp(read_url(f"smtp://shop:{password}@127.0.0.1:{post.port}"), deadline=3.0))
    assert post.logins
    assert set(post.logins) == {(b"shop", password.encode(), True)}
    found = await row(tools)
    assert found["status"] == status
    assert password not in (found["error"] or "")


async def test_the_mailbox_keeps_each_message_once_newest_first(tools: Tools, clock: FakeClock) -> None:
    mailbox = choose(tools, None)
    assert isinstance(mailbox, Mailbox)
    await queue(tools, "msg_1", order_id="ord_1")
    await work(tools, mailbox)
    clock.advance(seconds=1)
    await queue(tools, "msg_2", order_id="ord_2")
    kind = SendMail(tools, mailbox, SENDER)
    [job] = await claim(tools)
    [message] = await kind.load([job])
    assert message is not None
    await kind.run(job, message)
    await kind.run(job, message)
    letters = await actions.list_mailbox(tools)
    assert [(letter.message_id, letter.received_at) for letter in letters] == [
        ("msg_2", clock.now()),
        ("msg_1", clock.now() - dt.timedelta(seconds=1)),
    ]
    assert (await row(tools, "msg_2"))["status"] == "sent"


async def test_a_letter_can_be_read(tools: Tools) -> None:
    await queue(tools)
    await work(tools, choose(tools, None))
    letter = await actions.read_mailbox(tools, "msg_1")
    assert (letter.recipient, letter.subject) == ("buyer@example.com", "Your order: A good book")
    for text in (letter.text, letter.html):
        assert "https://shop.example/access/tOkEn" in text
        assert "\r" not in text


def test_a_mail_server_is_used_where_one_is_set(tools: Tools) -> None:
    assert isinstance(choose(tools, "smtps://mail.example.com"), Smtp)


async def test_a_message_goes_out_once_in_an_orders_life(tools: Tools) -> None:
    await queue(tools, "msg_1")
    with pytest.raises(Exception, match="messages_once"):
        await queue(tools, "msg_2")
    assert await tools.database.value("SELECT count(*) FROM jobs") == 1
