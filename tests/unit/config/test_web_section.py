"""[web]: addresses, tokens, and what is refused."""

from collections.abc import Callable

import pytest

from monitor.config import Settings, SettingsError
from monitor.config.web_section import Address, Right, Web

KEY = '[[keys]]\nname = "acme-prod"\nsecret = "env:OPENAI_API_KEY"\nwatch = ["gpt-image-2"]\n'

Load = Callable[[str], Settings]


def test_without_a_section_it_listens_on_this_machine_and_knows_no_token(settings_of: Load) -> None:
    web = settings_of(KEY).web
    assert web == Web()
    assert str(web.listen) == "127.0.0.1:8090"
    assert web.listen.loopback


def test_tokens_are_kept_as_references_that_the_daemon_does_not_follow(settings_of: Load) -> None:
    web = settings_of(
        KEY + '[web]\nlisten = "[::]:80"\nurl = "https://monitor.example/sub"\n'
        '[[web.tokens]]\nname = "team"\nsecret = "env:NOT_SET"\nright = "write"\n'
    ).web
    assert web.listen == Address("::", 80)
    assert not web.listen.loopback
    assert web.url == "https://monitor.example/sub/"
    (token,) = web.tokens
    assert (token.name, token.secret, token.right) == ("team", "env:NOT_SET", Right.WRITE)


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ('listen = "8090"', "web.listen: must be HOST:PORT"),
        ('listen = "::1:8090"', "web.listen: must be HOST:PORT"),
        ('listen = "127.0.0.1:80900"', "web.listen: must be HOST:PORT"),
        ('listen = ":8090"', "web.listen: must be HOST:PORT"),
        ('url = "monitor.example"', "web.url: must be an address"),
        ('url = "https://monitor.example/?a=b"', "web.url: must be an address"),
        ('url = "https://x@monitor.example/"', "web.url: must be an address"),
        (
            '[[web.tokens]]\nname = "a"\nsecret = "FAKE-in-clear"',
            "web.tokens[0].secret: must be a reference",
        ),
        (
            '[[web.tokens]]\nname = "a"\nsecret = "env:A"\n[[web.tokens]]\nname = "a"\nsecret = "env:B"',
            "another token has this name already",
        ),
    ],
)
def test_what_cannot_be_meant_is_refused_with_its_place(
    settings_of: Load, lines: str, said: str
) -> None:
    with pytest.raises(SettingsError) as refused:
        settings_of(f"{KEY}[web]\n{lines}\n")
    for part in said.split(": "):
        assert part in str(refused.value)
    assert "FAKE-in-clear" not in str(refused.value)
