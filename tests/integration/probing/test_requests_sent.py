"""Each surface's request as the server sees it."""

import json
import re
from email import message_from_bytes

import pytest

from monitor import __version__
from monitor.access.observation import Failure
from monitor.access.target import Capability
from monitor.access.words import ProbeKind, Surface
from monitor.catalog import builtin, probe_request
from monitor.catalog.requests import NOUNS
from monitor.probing import Credentials, proxy_for

pytestmark = pytest.mark.anyio

SECRET = "sk-test-FAKE-acme-prod-0001"


def nouns_of(request) -> tuple[str, str]:
    first, second = (word for word in re.findall(r"[a-z]+", request.body.decode()) if word in NOUNS)
    return first, second


@pytest.mark.parametrize(
    "surface", [s for s in Surface if s not in (Surface.EDITS, Surface.MODELS)]
)
async def test_a_full_probe_sends_the_catalogs_request(server, probe, surface: Surface) -> None:
    seen = await probe("gpt-5.1", surface)
    (request,) = server.requests
    expected = probe_request(builtin(), Capability("gpt-5.1", surface), nouns_of(request))
    assert request.method == "POST"
    assert request.path == "/v1" + expected.path
    assert request.headers["content-type"] == "application/json"
    assert json.loads(request.body) == expected.json
    assert (seen.status, seen.kind, seen.surface, seen.model) == (
        200,
        ProbeKind.FULL,
        surface,
        "gpt-5.1",
    )


TEXT = [s for s in Surface if not s.makes_images and s is not Surface.MODELS]


@pytest.mark.parametrize("surface", TEXT)
async def test_each_full_probe_of_text_asks_for_a_word_of_its_own(server, probe, surface) -> None:
    seen = [await probe("gpt-5.1", surface) for _ in range(8)]
    assert [one.word for one in seen] == ["".join(nouns_of(r)) for r in server.requests]
    assert len({one.word for one in seen}) > 1
    for one, request in zip(seen, server.requests, strict=True):
        assert len(request.body) == int(request.headers["content-length"])
        assert one.word.encode() not in b"".join(request.body.lower().split())


async def test_each_image_is_asked_for_with_nouns_of_its_own_and_no_word_is_expected(
    server, probe
) -> None:
    seen = [await probe() for _ in range(8)]
    assert {one.word for one in seen} == {""}
    assert len({nouns_of(request) for request in server.requests}) > 1


async def test_a_listing_asks_for_no_word(server, probe) -> None:
    assert (await probe("gpt-5.1", Surface.CHAT, ProbeKind.LISTING)).word == ""


async def test_edits_arrive_as_a_form_with_a_picture(server, probe) -> None:
    await probe("gpt-image-2", Surface.EDITS)
    (request,) = server.requests
    head = f"Content-Type: {request.headers['content-type']}\r\n\r\n".encode()
    form = {
        part.get_param("name", header="content-disposition"): part
        for part in message_from_bytes(head + request.body).get_payload()
    }
    assert form["model"].get_payload() == "gpt-image-2"
    assert form["size"].get_payload() == "1440x480"
    assert form["prompt"].get_payload().startswith("a grey dot, ")
    assert "{" not in form["prompt"].get_payload()
    assert form["image"].get_filename() == "dot.png"
    assert form["image"].get_content_type() == "image/png"
    assert form["image"].get_payload(decode=True).startswith(b"\x89PNG")


async def test_asking_for_a_model_sends_no_body(server, probe) -> None:
    await probe("vendor/o3", Surface.MODELS)
    (request,) = server.requests
    assert (request.method, request.path, request.body) == ("GET", "/v1/models/vendor%2Fo3", b"")


async def test_a_listing_is_a_get_of_the_model_list_whatever_the_target(server, probe) -> None:
    seen = await probe("gpt-image-2", Surface.EDITS, ProbeKind.LISTING)
    (request,) = server.requests
    assert (request.method, request.path, request.body) == ("GET", "/v1/models", b"")
    assert (seen.kind, seen.surface, seen.model) == (
        ProbeKind.LISTING,
        Surface.EDITS,
        "gpt-image-2",
    )


async def test_the_headers_say_who_asks_and_for_whom(server, probe) -> None:
    await probe()
    (request,) = server.requests
    assert request.headers["authorization"] == f"Bearer {SECRET}"
    assert request.headers["openai-organization"] == "org-acme"
    assert request.headers["openai-project"] == "proj_acme"
    assert request.headers["user-agent"] == f"access-monitor/{__version__}"
    assert request.headers["accept-encoding"] == "identity"


async def test_no_organization_and_no_project_send_no_header(server, prober) -> None:
    credentials = Credentials(secret=SECRET, base_url=server.base_url + "/")
    await prober.probe(credentials, Capability("o3", Surface.CHAT), ProbeKind.FULL)
    (request,) = server.requests
    assert request.path == "/v1/chat/completions"
    assert not [name for name in request.headers if name.startswith("openai")]


@pytest.mark.parametrize(
    ("place", "kept"),
    [("{}/elsewhere", "{}"), ("/elsewhere", "/"), ("http://[/", ""), ("mailto:a@acme.example", "")],
)
async def test_a_redirect_is_not_followed_and_of_its_place_the_host_is_kept(
    server, probe, http, place: str, kept: str
) -> None:
    server.answer = http(307, Location=place.format(server.base_url))
    seen = await probe()
    assert seen.status == 307
    assert seen.headers["location"] == kept.format(server.base_url).removesuffix("/v1")
    assert seen.failure is None
    assert len(server.requests) == 1


async def test_cookies_of_one_answer_do_not_travel_with_the_next_request(
    server, probe, http
) -> None:
    server.answer = http(200, b"{}", Set_Cookie="__edge=acme; Path=/")
    await probe()
    await probe()
    assert len(server.requests) == 2
    assert "cookie" not in server.requests[1].headers


async def test_a_netrc_file_never_replaces_the_key(server, probe, tmp_path, monkeypatch) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login someone password FAKE-other\n")
    monkeypatch.setenv("NETRC", str(netrc))
    await probe()
    assert server.requests[0].headers["authorization"] == f"Bearer {SECRET}"


async def test_a_user_in_the_base_url_never_replaces_the_key(server, probe) -> None:
    await probe(base_url=f"http://someone:FAKE-other@127.0.0.1:{server.port}/v1")
    assert server.requests[0].headers["authorization"] == f"Bearer {SECRET}"


def test_the_proxy_of_a_route_is_told_without_credentials(monkeypatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    assert proxy_for("https://api.example/v1") is None
    monkeypatch.setenv("HTTPS_PROXY", "http://acme:FAKE-word@proxy.example:3128")
    monkeypatch.setenv("NO_PROXY", "inside.example")
    assert proxy_for("https://api.example/v1") == "http://proxy.example:3128"
    assert proxy_for("http://api.example/v1") is None
    assert proxy_for("https://inside.example/v1") is None
    monkeypatch.delenv("HTTPS_PROXY")
    monkeypatch.setenv("ALL_PROXY", "proxy.example:1080")
    assert proxy_for("https://api.example/v1") == "http://proxy.example:1080"


async def test_a_route_on_this_machine_sends_its_key_to_no_proxy(
    server, probe, monkeypatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://proxy.invalid:3128")
    monkeypatch.setenv("NO_PROXY", "")
    assert proxy_for(server.base_url) is None
    seen = await probe()
    assert (seen.status, len(server.requests)) == (200, 1)


@pytest.mark.parametrize(
    ("proxy", "said"),
    [
        ("http://acme:FAKE-word@127.0.0.1:99999", " names http://127.0.0.1:99999, which"),
        ("http://acme:FAKE-word@[::1", " names http://[::1, which"),
        ("ftp://acme:FAKE-word@proxy.example", " names ftp://proxy.example, which"),
        ("http://acme:FAKE-word", ""),
        ("http://", ""),
    ],
)
async def test_a_proxy_that_is_none_is_named_without_its_password(
    probe, monkeypatch, proxy, said
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    monkeypatch.setenv("NO_PROXY", "")
    seen = await probe(base_url="https://api.example/v1")
    assert (seen.failure, seen.sent) == (Failure.PROXY, False)
    assert seen.failure_text == f"HTTPS_PROXY{said} is no proxy's URL"


@pytest.mark.parametrize(
    ("file", "why"),
    [("missing.pem", "No such file or directory"), ("empty.pem", "no certificates")],
)
async def test_certificates_that_cannot_be_read_are_named_and_nothing_is_sent(
    probe, monkeypatch, tmp_path, file, why
) -> None:
    (tmp_path / "empty.pem").touch()
    file = str(tmp_path / file)
    monkeypatch.setenv("SSL_CERT_FILE", file)
    seen = await probe()
    assert (seen.failure, seen.sent) == (Failure.TRUST, False)
    assert seen.failure_text == f"SSL_CERT_FILE names {file!r}: {why}"


def test_credentials_do_not_show_their_secret() -> None:
    assert SECRET not in repr(Credentials(secret=SECRET, base_url="https://api.example/v1"))
