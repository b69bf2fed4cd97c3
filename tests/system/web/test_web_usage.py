"""`access-monitor web` used wrongly: what it says, and how it ends."""

import re
import socket

import pytest

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(150)]

TOKEN = '[[web.tokens]]\nname = "team"\nsecret = "env:WEB_TOKEN"\n'
KEY = '[[keys]]\nname = "acme"\nsecret = "env:ACME"\nwatch = ["gpt-image-2"]\n'
GOOD = "FAKE-web-token-0001"


@pytest.mark.parametrize(
    ("section", "listen", "token", "status", "said"),
    [
        ("", "127.0.0.1:{taken}", GOOD, 1, "cannot listen on 127.0.0.1:{taken}: .*in use"),
        (TOKEN, "192.0.2.1:18080", GOOD, 1, "cannot listen on 192.0.2.1:18080: .*assign"),
        (TOKEN, "nothing.invalid:18080", GOOD, 1, "cannot listen on nothing.invalid:18080: "),
        ("", "127.0.0.1", GOOD, 2, "--listen '127.0.0.1' must be HOST:PORT, such as"),
        ("", "127.0.0.1:x", GOOD, 2, "must be HOST:PORT"),
        ("", "127.0.0.1:65536", GOOD, 2, "must be HOST:PORT"),
        ("", "::1:8090", GOOD, 2, "must be HOST:PORT"),
        ("", "0.0.0.0:0", GOOD, 2, "can be reached from other machines, and there are no tokens"),
        ("", "192.0.2.1:18080", GOOD, 2, "can be reached from other machines"),
        (TOKEN, "127.0.0.1:0", "little", 2, r"web.tokens\[0\].secret.*fewer than 16 characters"),
        (TOKEN, "127.0.0.1:0", "", 2, r"web.tokens\[0\].secret.*WEB_TOKEN"),
        (TOKEN.replace("env:", "file:"), "127.0.0.1:0", GOOD, 2, r"web.tokens\[0\].secret"),
        (TOKEN.replace("env:", ""), "127.0.0.1:0", GOOD, 2, "must be a reference"),
        ('[web]\nlisten = "8090"\n', None, GOOD, 2, "web.listen.*must be HOST:PORT"),
        ("[web]\nbehind_proxies = true\n", None, GOOD, 2, "behind_proxies.*behind_proxy"),
    ],
)
async def test_wrong_usage_is_said_in_words(lab, section, listen, token, status, said):
    lab.settings.write_text(f'[monitor]\ndatabase = "sqlite:///monitor.db"\n{KEY}{section}')
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = other.getsockname()[1]
        arguments = ["--listen", listen.format(taken=taken)] if listen else []
        ended = await lab.call(
            "web",
            "--config",
            str(lab.settings),
            *arguments,
            **({"WEB_TOKEN": token} if token else {}),
        )
    assert ended.status == status, ended.err
    words = " ".join(ended.err.split())
    assert re.search(said.format(taken=taken), words), ended.err
    assert "Traceback" not in ended.err
    assert ended.out == ""
    assert GOOD not in ended.err
