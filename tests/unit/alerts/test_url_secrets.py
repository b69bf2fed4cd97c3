import pytest

from monitor.alerts.url_secrets import hide, url_secrets


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
    shown = hide(leak, url_secrets(url))
    for part in gone:
        assert part.lower() not in shown.lower()


def test_what_helps_to_understand_the_error_remains() -> None:
    url = "mailtos://alerts:sk-test-FAKE@mail.example:587?smtp=mail.example&mode=starttls"
    text = 'Connection error while submitting email to "mail.example" by starttls'
    assert hide(text, url_secrets(url)) == text
