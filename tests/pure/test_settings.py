"""Settings: what is read, what is refused, and that a refusal says what would be right."""

from pathlib import Path

import pytest

from purvey.server.settings import CLIENT_SETTINGS, Settings, SettingsError, read

PUBLIC = {
    "PURVEY_BASE_URL": "https://shop.example",
    "PURVEY_SANDBOX_PUBLIC": "1",
    "PURVEY_SMTP_URL": "smtps://user:password@mail.example:465",
}


def test_nothing_set_is_a_laptop() -> None:
    settings = read({})
    assert settings == Settings()
    assert settings.url == "http://127.0.0.1:8000"
    assert settings.on_loopback
    assert settings.has_mailbox
    assert settings.secret_keys == ()


def test_every_setting_is_read_from_its_variable() -> None:
    values: dict[str, object] = {
        "host": "0.0.0.0",  # noqa: S104  # only read here
        "port": 8080,
        "base_url": "https://shop.example",
        "data_dir": Path("/srv/purvey"),
        "database_url": "postgresql://user@db/purvey",
        "database_connections": 20,
        "secret_key": "s" * 32,
        "payments": "stripe",
        "sandbox_public": True,
        "stripe_secret_key": "rk_test_0123456789",
        "stripe_webhook_secret": "whsec_0123456789, whsec_9876543210",
        "stripe_api_base": "http://127.0.0.1:12111",
        "stripe_statement_descriptor": "BOOKS",
        "stripe_tax": True,
        "stripe_promotion_codes": True,
        "stripe_fraud_warnings": "refund",
        "smtp_url": "smtp://mail.example:25",
        "mail_from": "Shop <shop@shop.example>",
        "allow_private_urls": True,
        "log_format": "json",
        "storage_url": "s3://bucket/prefix",
        "max_upload_bytes": 5_000_000,
        "event_retention_days": 30,
        "visit_retention_days": 90,
        "webhook_rate": 2.5,
        "rate_limits": "60",
        "trusted_proxies": "10.0.0.0/8",
        "processes": 4,
        "metrics_token": "a token",
    }
    assert set(values) == set(Settings.__struct_fields__)
    environment = {f"PURVEY_{name.upper()}": str(value) for name, value in values.items()}
    assert read(environment) == Settings(**values)  # type: ignore[arg-type]  # one dict for every type


def test_files_lie_in_the_data_directory_unless_told_otherwise() -> None:
    assert read({"PURVEY_DATA_DIR": "/srv/a shop"}).storage == "file:///srv/a%20shop/files"
    assert read({"PURVEY_STORAGE_URL": "s3://bucket/prefix"}).storage == "s3://bucket/prefix"
    for wrong in (
        "/srv/files",
        "file://host/x",
        "s3:///x",
        "https://bucket",
        "file:relative",
        "s3://bucket?x=1",
        "s3://a:b@c",
    ):
        with pytest.raises(SettingsError, match=r"^PURVEY_STORAGE_URL names no place for files\."):
            read({"PURVEY_STORAGE_URL": wrong})


@pytest.mark.parametrize(("text", "means"), [("1", True), ("true", True), ("0", False), ("false", False)])
def test_a_switch_is_1_or_0(text: str, means: object) -> None:
    assert read({"PURVEY_ALLOW_PRIVATE_URLS": text}).allow_private_urls is means


def test_the_command_line_wins_where_it_says_something() -> None:
    environment = {"PURVEY_PORT": "8080", "PURVEY_DATA_DIR": "there"}
    settings = read(environment, port=9000, data_dir=None)
    assert (settings.port, settings.data_dir) == (9000, Path("there"))
    assert read(environment, data_dir=Path("here")).data_dir == Path("here")


def test_an_empty_variable_is_no_setting() -> None:
    assert read({"PURVEY_PORT": ""}).port == 8000


def test_what_is_not_ours_is_left_alone() -> None:
    assert read({"PATH": "/bin", **dict.fromkeys(CLIENT_SETTINGS, "anything")}) == Settings()


def test_a_misspelt_setting_is_refused_with_the_nearest_one() -> None:
    with pytest.raises(SettingsError, match=r"^PURVEY_BASEURL is not a setting\. Did you mean PURVEY_BASE_URL\?$"):
        read({"PURVEY_BASEURL": "https://shop.example"})


def test_an_unknown_setting_like_no_other_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"^PURVEY_XYZZY is not a setting\.$"):
        read({"PURVEY_XYZZY": "1"})


@pytest.mark.parametrize(
    ("name", "value", "wanted"),
    [
        ("PURVEY_PORT", "80a", "a whole number from 1 to 65535, not '80a'"),
        ("PURVEY_PORT", "0", "a whole number from 1 to 65535, not '0'"),
        ("PURVEY_PORT", "65536", "a whole number from 1 to 65535"),
        ("PURVEY_DATABASE_CONNECTIONS", "1", "a whole number from 2 to 500"),
        ("PURVEY_WEBHOOK_RATE", "-1", "a number from 0 on, not '-1'"),
        ("PURVEY_WEBHOOK_RATE", "nan", "a number from 0 on, not 'nan'"),
        ("PURVEY_ALLOW_PRIVATE_URLS", "yes", "1 or 0, not 'yes'"),
        ("PURVEY_PAYMENTS", "paypal", "sandbox or stripe, not 'paypal'"),
        ("PURVEY_LOG_FORMAT", "xml", "json or pretty, not 'xml'"),
    ],
)
def test_a_wrong_value_is_refused_with_what_would_be_right(name: str, value: str, wanted: str) -> None:
    with pytest.raises(SettingsError) as refused:
        read({name: value})
    assert str(refused.value).startswith(f"{name} must be {wanted}")


@pytest.mark.parametrize(
    "url", ["shop.example", "ftp://shop.example", "https://", "http://[::1", "http://shop.example:port", "http://a:0"]
)
def test_a_base_url_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(SettingsError, match=r"^PURVEY_BASE_URL: .* is no URL\. Give http\(s\)://host"):
        read({"PURVEY_BASE_URL": url})


@pytest.mark.parametrize(
    "url", ["mail.example", "https://mail.example", "smtp://", "smtp://[", "smtp://mail.example:x"]
)
def test_a_mail_server_url_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(SettingsError, match=r"^PURVEY_SMTP_URL is no URL of a mail server"):
        read({"PURVEY_SMTP_URL": url})


def test_a_refusal_of_a_mail_server_url_does_not_show_its_password() -> None:
    with pytest.raises(SettingsError) as refused:
        read({"PURVEY_SMTP_URL": "smtpx://user:hunter2@mail.example"})
    assert "hunter2" not in str(refused.value)


def test_a_trailing_slash_of_the_base_url_does_not_matter() -> None:
    assert read(PUBLIC | {"PURVEY_BASE_URL": "https://shop.example/"}).url == "https://shop.example"


@pytest.mark.parametrize(
    ("url", "reached_by_this_machine_only"),
    [
        ("http://127.0.0.1:8000", True),
        ("http://127.8.8.8", True),
        ("http://[::1]:8000", True),
        ("http://localhost:8000", True),
        ("http://shop.localhost", True),
        ("http://0.0.0.0:8000", False),
        ("http://192.168.1.10", False),
        ("http://localhost.example", False),
        ("http://notlocalhost", False),
        ("https://shop.example", False),
    ],
)
def test_loopback_is_told_from_what_others_reach(url: str, reached_by_this_machine_only: object) -> None:
    assert Settings(base_url=url).on_loopback is reached_by_this_machine_only


def test_an_ipv6_host_gives_a_url_in_brackets() -> None:
    assert read({"PURVEY_HOST": "::1"}).url == "http://[::1]:8000"


@pytest.mark.parametrize("environment", [{"PURVEY_BASE_URL": "https://shop.example"}, {"PURVEY_HOST": "0.0.0.0"}])  # noqa: S104  # refused here
def test_a_sandbox_that_strangers_reach_must_be_meant(environment: dict[str, str]) -> None:
    with pytest.raises(SettingsError, match="PURVEY_SANDBOX_PUBLIC=1"):
        read(environment)
    with pytest.raises(SettingsError, match="PURVEY_SANDBOX_PUBLIC=1"):
        read(environment | {"PURVEY_SMTP_URL": PUBLIC["PURVEY_SMTP_URL"]})


def test_a_public_shop_needs_a_mail_server() -> None:
    with pytest.raises(SettingsError, match="PURVEY_SMTP_URL is not set"):
        read({name: value for name, value in PUBLIC.items() if name != "PURVEY_SMTP_URL"})
    settings = read(PUBLIC)
    assert not settings.on_loopback
    assert not settings.has_mailbox


def test_a_mail_server_on_loopback_replaces_the_mailbox() -> None:
    assert not read({"PURVEY_SMTP_URL": "smtp://localhost:1025"}).has_mailbox


def test_secret_keys_are_a_list_with_the_sealing_one_first() -> None:
    assert read({"PURVEY_SECRET_KEY": " new , old,"}).secret_keys == ("new", "old")


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("SECRET_KEY", "pk_live_0123456789", "is a publishable key, which takes no payments"),
        ("SECRET_KEY", "sk_lve_0123456789", "is no key of Stripe's"),
        ("WEBHOOK_SECRET", "whsec_0123456789,we_0123456789", "is no signing secret of Stripe's"),
        ("API_BASE", "stripe", "is no URL"),
        ("STATEMENT_DESCRIPTOR", "*BOOKS*", "must have 1 to 22 characters"),
        ("STATEMENT_DESCRIPTOR", "1234", "one letter at least"),
    ],
)
def test_what_is_certainly_no_word_of_stripes_is_refused_without_being_shown(name: str, value: str, words: str) -> None:
    with pytest.raises(SettingsError) as refused:
        read({f"PURVEY_STRIPE_{name}": value})
    assert str(refused.value).startswith(f"PURVEY_STRIPE_{name} ")
    assert words in str(refused.value)
    assert value not in str(refused.value)


def test_test_cards_are_told_from_money() -> None:
    live = {**PUBLIC, "PURVEY_SANDBOX_PUBLIC": "0", "PURVEY_PAYMENTS": "stripe"}
    assert not read({**live, "PURVEY_STRIPE_SECRET_KEY": "rk_live_0123456789"}).test_mode
    assert read({"PURVEY_PAYMENTS": "stripe", "PURVEY_STRIPE_SECRET_KEY": "sk_test_0123456789"}).test_mode
    with pytest.raises(SettingsError, match="Stripe's test mode takes no real money"):
        read({**live, "PURVEY_STRIPE_SECRET_KEY": "sk_test_0123456789"})
