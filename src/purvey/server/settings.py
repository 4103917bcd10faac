"""Every setting of the server, in one frozen object, read from the environment once.

Each is the environment variable `PURVEY_` + its name in capitals. An unknown `PURVEY_` variable stops the start with the nearest
known one, because a misspelt setting is a setting that silently does not hold.
"""

import difflib
import re
from collections.abc import Mapping
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

import msgspec
import msgspec.inspect
import msgspec.structs

PREFIX = "PURVEY_"
CLIENT_SETTINGS = frozenset({"PURVEY_API_KEY", "PURVEY_API_URL", "PURVEY_TEST_DATABASE_URL"})
"""Variables with our prefix that the client or the tests read; the server leaves them alone."""

Port = Annotated[int, msgspec.Meta(ge=1, le=65535)]


class SettingsError(Exception):
    """A setting is wrong; the message names it, says what was wrong and what would be right."""


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The server's settings. Defaults are for a laptop: everything embedded, sandbox payments, loopback only."""

    host: str = "127.0.0.1"
    """The address to listen on."""
    port: Port = 8000
    """The TCP port to listen on."""
    base_url: str | None = None
    """Where buyers reach this server, such as https://shop.example; default: http://HOST:PORT."""
    data_dir: Path = Path("purvey-data")
    """Where the embedded database, the made secret key and the files live."""
    database_url: str | None = None
    """A PostgreSQL 15 or later to use instead of the embedded one."""
    database_connections: Annotated[int, msgspec.Meta(ge=2, le=500)] = 10
    """How many connections one process holds at most."""
    secret_key: str | None = None
    """Comma-separated keys of 32 characters or more: the first seals, all open. Made and kept when embedded."""
    payments: Literal["sandbox", "stripe"] = "sandbox"
    """The payment provider of every account: sandbox takes test cards, stripe takes money (see stripe.md)."""
    sandbox_public: bool = False
    """Allows test cards (the sandbox's, Stripe's) on a base URL that strangers can reach: anybody could then "pay" with them."""
    stripe_secret_key: str | None = None
    """The secret or restricted key of the Stripe account that takes payments; accounts may have a key of their own instead."""
    stripe_webhook_secret: str | None = None
    """Comma-separated signing secrets (whsec_...) of the endpoints at Stripe that send notices here; any may have signed."""
    stripe_api_base: str = "https://api.stripe.com"
    """Where Stripe's interface is; another one only for tests."""
    stripe_statement_descriptor: str | None = None
    """What follows the business's name on the buyer's card statement, 22 characters at most with it; default: nothing."""
    stripe_tax: bool = False
    """Lets Stripe Tax compute and add tax; it must be set up in Stripe's dashboard."""
    stripe_promotion_codes: bool = False
    """Lets buyers enter promotion codes that were made in Stripe's dashboard."""
    stripe_fraud_warnings: Literal["hold", "refund", "ignore"] = "hold"
    """What an early warning of fraud does: hold closes the access and tells the seller, refund gives the money back."""
    smtp_url: str | None = None
    """smtp[s]://user:password@host:port; default: the built-in mailbox at /mailbox (sandbox on loopback only)."""
    mail_from: str = "Purvey <purvey@localhost>"
    """The sender of every mail."""
    allow_private_urls: bool = False
    """Lets webhooks go to private addresses, for local development."""
    storage_url: str | None = None
    """Where uploaded files lie: file:///folder or s3://bucket/prefix; default: the folder `files` of the data directory."""
    max_upload_bytes: Annotated[int, msgspec.Meta(ge=1, le=1 << 50)] = 100 * 1024 * 1024
    """How many bytes an uploaded file may have."""
    event_retention_days: Annotated[int, msgspec.Meta(ge=2, le=36_500)] | None = None
    """After how many days events go, with their deliveries: those parked or waiting are given up; without it they stay for ever."""
    visit_retention_days: Annotated[int, msgspec.Meta(ge=1, le=36_500)] = 540
    """After how many days it is forgotten from where an order was bought and opened: disputes come within 120 to 540 days."""
    webhook_rate: Annotated[float, msgspec.Meta(ge=0, le=10_000)] = 10.0
    """Requests a second to one webhook URL at most; 0 means no limit."""
    rate_limits: str = "on"
    """on, off, or how many requests a minute each API key (without one: each address) may make of each kind; on means 120."""
    trusted_proxies: str = "127.0.0.1, ::1"
    """Addresses and networks, comma-separated, whose X-Forwarded-For and X-Forwarded-Proto are believed."""
    processes: Annotated[int, msgspec.Meta(ge=1, le=256)] = 1
    """How many processes answer requests on one port. With more than one, another one does the queued work."""
    metrics_token: str | None = None
    """What /metrics asks for as a Bearer token from everybody who is not on this machine; without one, nobody else may read it."""
    log_format: Literal["pretty", "json"] = "pretty"
    """How log lines look."""

    @property
    def url(self) -> str:
        """The base URL without a trailing slash."""
        if self.base_url:
            return self.base_url.rstrip("/")
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"

    @property
    def on_loopback(self) -> bool:
        """Whether the base URL is reachable from this machine only."""
        return _is_loopback(urlsplit(self.url).hostname or "")

    @property
    def requests_per_minute(self) -> int | None:
        """What `rate_limits` comes to; None means no limit."""
        return (
            {"on": 120, "off": None}.get(self.rate_limits)
            if self.rate_limits in {"on", "off"}
            else int(self.rate_limits)
        )

    @property
    def proxies(self) -> list[str]:
        """The trusted proxies, each an address or a network."""
        return [part.strip() for part in self.trusted_proxies.split(",") if part.strip()]

    @property
    def storage(self) -> str:
        """The URL of where files lie."""
        return self.storage_url or (self.data_dir.absolute() / "files").as_uri()

    @property
    def secret_keys(self) -> tuple[str, ...]:
        """The secret keys, first the one that seals."""
        return tuple(part.strip() for part in (self.secret_key or "").split(",") if part.strip())

    @property
    def test_mode(self) -> bool:
        """Whether what buyers pay with is no money: the sandbox's cards, or those of Stripe's test mode."""
        return self.payments == "sandbox" or bool(re.match(r"(sk|rk)_test_", self.stripe_secret_key or ""))

    @property
    def stripe_webhook_secrets(self) -> tuple[str, ...]:
        """The secrets of which one has signed a notice of Stripe's."""
        return tuple(part.strip() for part in (self.stripe_webhook_secret or "").split(",") if part.strip())

    @property
    def has_mailbox(self) -> bool:
        """Whether mail is kept in the built-in mailbox: no mail server is set, nobody else can connect, and payments are tests."""
        return self.smtp_url is None and self.test_mode and self.on_loopback and _is_loopback(self.host)


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def read(environment: Mapping[str, str], **given: object) -> Settings:
    """Read the settings from `environment`; `given` (from the command line) wins where it is not None."""
    found: dict[str, object] = {
        name.removeprefix(PREFIX).lower(): value
        for name, value in environment.items()
        if name.startswith(PREFIX) and name not in CLIENT_SETTINGS and value != ""
    }
    _refuse_unknown(found)
    found.update({name: value for name, value in given.items() if value is not None})
    try:
        settings = msgspec.convert(found, Settings, strict=False, dec_hook=_decode)
    except msgspec.ValidationError as error:
        raise SettingsError(_explain(str(error), found)) from None
    _check(settings)
    return settings


def _refuse_unknown(found: Mapping[str, object]) -> None:
    known = Settings.__struct_fields__
    for name in found:
        if name not in known:
            nearest = difflib.get_close_matches(name, known, n=1)
            hint = f" Did you mean {PREFIX}{nearest[0].upper()}?" if nearest else ""
            raise SettingsError(f"{PREFIX}{name.upper()} is not a setting.{hint}")


def _decode(kind: type, value: object) -> object:
    if kind is Path and isinstance(value, str | Path):
        return Path(value)
    raise NotImplementedError


def _explain(error: str, found: Mapping[str, object]) -> str:
    """Turn msgspec's "Expected ... - at `$.port`" into a sentence about PURVEY_PORT."""
    name = error.partition(" - at `$.")[2].rstrip("`")
    if name not in found:
        return error
    return f"{PREFIX}{name.upper()} must be {allowed(name)}, not {str(found[name])!r}."


def allowed(name: str) -> str:
    """Return in words what the setting called `name` may be."""
    types = {field.name: field.type for field in msgspec.structs.fields(Settings)}
    kind = msgspec.inspect.type_info(types[name])
    if isinstance(kind, msgspec.inspect.UnionType):
        kind = next(one for one in kind.types if not isinstance(one, msgspec.inspect.NoneType))
    match kind:
        case msgspec.inspect.BoolType():
            return "1 or 0"
        case msgspec.inspect.IntType(ge=least, le=most):
            return f"a whole number from {least} to {most}"
        case msgspec.inspect.FloatType(ge=least):
            return f"a number from {least} on"
        case msgspec.inspect.LiteralType(values=values):
            return " or ".join(str(value) for value in values)
        case _:
            return "text"


def _check(settings: Settings) -> None:
    if not _is_url(settings.url, "http", "https"):
        raise SettingsError(
            f"PURVEY_BASE_URL: {settings.url!r} is no URL. Give http(s)://host, such as https://shop.example."
        )
    if settings.smtp_url is not None and not _is_url(settings.smtp_url, "smtp", "smtps"):
        raise SettingsError("PURVEY_SMTP_URL is no URL of a mail server. Give smtp[s]://user:password@host:port.")
    if not _is_storage(settings.storage):
        raise SettingsError(
            "PURVEY_STORAGE_URL names no place for files. Give file:///folder, or s3://bucket/prefix for whatever speaks S3."
        )
    if settings.rate_limits not in {"on", "off"} and not re.fullmatch(r"[1-9][0-9]{0,6}", settings.rate_limits):
        raise SettingsError(
            f"PURVEY_RATE_LIMITS must be on, off or a whole number of requests a minute, not {settings.rate_limits!r}."
        )
    for proxy in settings.proxies:
        _check_network(proxy)
    if settings.test_mode and not settings.on_loopback and not settings.sandbox_public:
        name = "The sandbox" if settings.payments == "sandbox" else "Stripe's test mode"
        raise SettingsError(
            f"{name} takes no real money, and {settings.url} can be reached by others, who would get your goods for nothing. "
            "Set PURVEY_SANDBOX_PUBLIC=1 if that is what you want (every page will say test mode)."
        )
    _check_stripe(settings)
    if settings.smtp_url is None and not settings.has_mailbox:
        key = settings.payments == "stripe" and settings.stripe_secret_key is None
        hint = (
            " It would be test mode with PURVEY_STRIPE_SECRET_KEY=sk_test_..., which is not set either." if key else ""
        )
        raise SettingsError(
            "PURVEY_SMTP_URL is not set: buyers could not be mailed. The built-in mailbox works in test mode on loopback only."
            + hint
        )


def _check_stripe(settings: Settings) -> None:
    """Raise SettingsError for what is certainly wrong. No message shows a secret."""
    key, suffix = settings.stripe_secret_key, settings.stripe_statement_descriptor
    if key is not None and not re.fullmatch(r"(sk|rk)_(test|live)_\w{8,240}", key):
        kind = "a publishable key, which takes no payments" if key.startswith("pk_") else "no key of Stripe's"
        raise SettingsError(
            f"PURVEY_STRIPE_SECRET_KEY is {kind}. Give the secret key (sk_...) or a restricted one (rk_...)."
        )
    if any(not re.fullmatch(r"whsec_\S{8,240}", secret) for secret in settings.stripe_webhook_secrets):
        raise SettingsError(
            "PURVEY_STRIPE_WEBHOOK_SECRET is no signing secret of Stripe's. Give the whsec_... that the endpoint's page shows."
        )
    if not _is_url(settings.stripe_api_base, "http", "https"):
        raise SettingsError("PURVEY_STRIPE_API_BASE is no URL. Leave it away, or give http(s)://host.")
    if suffix is not None and (not 1 <= len(suffix) <= 22 or set(suffix) & set("<>\\'\"*") or suffix.isdecimal()):
        raise SettingsError(
            "PURVEY_STRIPE_STATEMENT_DESCRIPTOR must have 1 to 22 characters, one letter at least, and none of < > \\ ' \" *."
        )


def _check_network(proxy: str) -> None:
    try:
        ip_network(proxy)
    except ValueError as error:
        raise SettingsError(
            f"PURVEY_TRUSTED_PROXIES: {error}. Give addresses and networks, such as 127.0.0.1, 10.0.0.0/8."
        ) from None


def _is_storage(url: str) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    if parts.query or parts.fragment or parts.username:
        return False
    if parts.scheme == "file":
        return not parts.netloc and parts.path.startswith("/")
    return parts.scheme == "s3" and bool(parts.netloc)


def _is_url(url: str, *schemes: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in schemes and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
