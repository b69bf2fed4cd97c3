"""What to ask of a provider before its access is taken for a replacement of the vendor's own."""

from typing import Final

#: A gateway's or relay's access is another contract; these four decide whether it is the same thing.
PROVIDER_QUESTIONS: Final = (
    "Mapping: which model, version and size settings stand behind the name, and who changes that?",
    "Billing and limits: what does a request cost, failed ones included, and which limits hold?",
    "Data: who sees the prompts and pictures, where are they kept, and for how long?",
    "Shape: are the request, the answer and the errors the same, streaming and usage included?",
)
