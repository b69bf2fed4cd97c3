"""What is recorded of a server's words: equal answers are equal, and a model keeps its name."""

import pytest

from monitor.access.diagnosis.text import equal_message, equal_words
from monitor.access.observation import Diagnosis
from monitor.access.words import Code


@pytest.mark.parametrize(
    ("message", "model", "kept"),
    [
        (
            "The model `gpt-5.1-2025-11-13` does not exist (3 of 5 tries)",
            "gpt-5.1",
            "The model `gpt-5.1-2025-11-13` does not exist (… of … tries)",
        ),
        ("Model o3 has no channel 17.", "o3", "Model o3 has no channel …."),
        (
            "Rate limit for gpt-image-2: Limit 5, Used 5. Try again in 12.4s.",
            "gpt-image-2",
            "Rate limit for gpt-image-2: Limit …, Used …. Try again in …s.",
        ),
        ("node-17 is overloaded", "gpt-5.1", "node-… is overloaded"),
        ("acme/brush-3 is gone since 12:01", "acme/brush-3", "acme/brush-3 is gone since …:…"),
        ("failed, request id: abc-123", "gpt-5.1", "failed, …"),
        (
            "Incorrect key: [hidden]. See (2)... .",
            "gpt-5.1",
            "Incorrect key: [hidden]. See (…)... .",
        ),
        ("127.0.0.1 port 8443 speaks no TLS", None, "127.0.0.1 port 8443 speaks no TLS"),
    ],
)
def test_figures_go_and_those_of_a_models_name_stay(message, model, kept):
    assert equal_words(message, model) == kept


@pytest.mark.parametrize(
    ("code", "kept"),
    [
        (Code.VERIFICATION_REQUIRED, "port 8443, in 15 minutes"),
        (Code.NETWORK_ERROR, "port 8443, in 15 minutes"),
        (Code.RATE_LIMITED, "port …, in … minutes"),
    ],
)
def test_a_gates_words_and_our_own_keep_their_figures(code, kept):
    said = Diagnosis(code, code.owner, "a_rule", message="port 8443, in 15 minutes")
    assert equal_message(said, "gpt-5.1") == kept
