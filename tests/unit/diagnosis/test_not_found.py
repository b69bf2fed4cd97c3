"""A path that is not found is the same whatever the path is, and an echo of the request says nothing."""

import pytest

from monitor.access.diagnosis import diagnose
from monitor.access.observation import Observation
from monitor.access.words import Code


@pytest.mark.parametrize(
    "path",
    [
        "/v1/models",
        "/v1/models/gpt-image-2",
        "/v1/images/generations",
        "/cf-relay/v1/models",
        "/blocked/v1/images/generations",
        "https://relay.example/captcha/v1/models",
    ],
)
@pytest.mark.parametrize(
    "page",
    [
        "Cannot GET {}",
        "The requested URL {} was not found on this server.",
        "<html><body><h1>Not Found</h1><p>The requested URL {} was not found.</p></body></html>",
        "<!DOCTYPE html><html><head><title>404 {}</title></head><body>Path “{}” is nowhere</body></html>",
        '<html><body><pre>Cannot GET "{}"</pre></body></html>',
    ],
)
def test_one_page_has_one_diagnosis_whatever_the_path(page, path):
    found = diagnose(Observation(404, body=page.replace("{}", path).encode(), model="gpt-image-2"))
    assert found.code is Code.WRONG_ENDPOINT


@pytest.mark.parametrize(
    "page",
    [
        '<html><link href="/cdn-cgi/styles/cf-errors.css"><body>Not found: /v1/models</body></html>',
        "<html><script src='/challenge/run.js'></script><body>/v1/models</body></html>",
        "<html><body>Blocked: /v1/models</body></html>",
    ],
)
def test_a_page_that_names_an_edge_itself_is_the_edges(page):
    found = diagnose(Observation(404, body=page.encode(), model="gpt-image-2"))
    assert found.code is Code.EDGE_ERROR


@pytest.mark.parametrize(
    "text",
    [
        'no handler for POST /v1/images/generations {"model": "gpt-image-2", "n": 1}',
        "nothing here: POST /v1/images/generations model=gpt-image-2",
    ],
)
def test_a_text_that_echoes_the_request_says_nothing_of_the_model(text):
    found = diagnose(Observation(404, body=text.encode(), model="gpt-image-2"))
    assert found.code is Code.WRONG_ENDPOINT


@pytest.mark.parametrize(
    "text", ["the model gpt-image-2 does not exist", "no such model: gpt-image-2"]
)
def test_a_text_that_speaks_of_the_model_does(text):
    found = diagnose(Observation(404, body=text.encode(), model="gpt-image-2"))
    assert found.code is Code.MODEL_UNAVAILABLE
