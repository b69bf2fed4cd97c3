import pytest

from monitor.access.masking import Redactor
from monitor.alerts.url_secrets import hide, named_in, url_secrets, whole_urls


@pytest.mark.parametrize(
    ("url", "leak", "gone"),
    [
        (
            "slack://TFAKETOKEN1/BFAKETOKEN2/CfakeToken3",
            "POST https://hooks.slack.com/services/tfaketoken1/BFAKETOKEN2/CfakeToken3 failed",
            ("FAKETOKEN1", "FAKETOKEN2", "fakeToken3"),
        ),
        (
            "mailtos://alerts:p%40ss@mail.example:587?smtp=mail.example",
            "535 for alerts with p@ss or p%40ss at mail.example",
            ("p@ss", "p%40ss", "alerts"),
        ),
        (
            "jsons://hook.example/in/FAKE-0001?+X-Auth=FAKE-header&verify=no",
            "url: /in/FAKE-0001 with FAKE-header",
            ("FAKE",),
        ),
        (
            "https://hooks.slack.com/services/TFAKE0001/BFAKE0002/cfake0003",
            "Max retries exceeded with url: /services/TFAKE0001/BFAKE0002/cfake0003",
            ("FAKE",),
        ),
        ("discord://4174216298/JHMHI8qBe7bk2ZwO5U711o3dV_js", "id 4174216298", ("4174216298",)),
        ("json://[broken/secret-FAKE", "could not load json://[broken/secret-FAKE", ("FAKE",)),
    ],
)
def test_no_part_of_the_url_remains(url: str, leak: str, gone: tuple[str, ...]) -> None:
    shown = hide(leak, named_in(url))
    for part in gone:
        assert part.lower() not in shown.lower()


def test_what_helps_to_understand_the_error_remains() -> None:
    url = "mailtos://alerts:sk-test-FAKE@mail.example:587?smtp=mail.example&mode=starttls"
    text = 'Connection error while submitting email to "mail.example" by starttls'
    assert hide(text, named_in(url)) == text


@pytest.mark.parametrize(
    ("url", "secrets"),
    [
        ("json://127.0.0.1:9999/monitor", set()),
        ("jsons://hooks.example/access-monitor/alerts/v2?priority=high&X-Team=platform", set()),
        ("mailtos://alerts:ops@mail.example?to=ops@acme.example", {"ops"}),
        ("ntfys://ntfy.example/acme-alerts", set()),
        ("ntfy://192.0.2.120/acme-alerts", set()),
        ("slack://T0FAKE0001/B0FAKE0002/cFAKEtoken0003/#general", {
            "T0FAKE0001", "B0FAKE0002", "cFAKEtoken0003"}),
        ("https://hooks.example/services/0f1e2d3c4b5a?token=abcd", {"0f1e2d3c4b5a", "abcd"}),
        ("https://hc-ping.example/6a3c1e0f-0000-4000-8000-0123456789ab", {
            "6a3c1e0f-0000-4000-8000-0123456789ab"}),
        ("tgram://123456789:AAFakeTokenFake/-1001234", {"123456789", "AAFakeTokenFake", "-1001234"}),
    ],
)  # fmt: skip
def test_a_secret_is_what_nobody_would_think_of_and_not_each_word_of_a_path(url, secrets):
    assert set(url_secrets(url)) == secrets
    assert url in whole_urls(url)


def test_a_channel_hides_none_of_the_words_that_others_use():
    urls = [
        "json://127.0.0.1:9999/monitor/state",
        "mailtos://alerts:pFAKE0001@mail.example?to=ops@acme.example",
        "ntfy://alerts",
    ]
    redactor = Redactor(
        (part for url in urls for part in url_secrets(url)),
        (whole for url in urls for whole in whole_urls(url)),
    )
    text = (
        "sqlite:////var/lib/monitor/state.db; see: access-monitor alerts list; mail.example is down"
    )
    assert redactor.text(text) == text
    for url in urls:
        assert redactor.text(f"POST {url} failed") == "POST [hidden] failed"
