"""Rules of the users' own, from the settings: tried before the built-in ones, never over a proven success."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from monitor.access.diagnosis.answer import Kind, ParsedAnswer
from monitor.access.diagnosis.envelope import ErrorLayer
from monitor.access.diagnosis.rule import Phrase, Rule
from monitor.access.diagnosis.rules import Finding, gate_of
from monitor.access.diagnosis.text import fold
from monitor.access.words import Code, Effect


@dataclass(frozen=True, slots=True)
class OwnRule:
    """Everything it names must be so of one error in the answer; it names at least one thing.

    `status` is the answer's own or one that the error states. Words are compared without regard to
    case; `message_contains` is a phrase, no pattern. Raises ValueError for a rule that names nothing
    or means `granted`: only a payload proves access.
    """

    diagnosis: Code
    status: int | None = None
    code: str | None = None
    type: str | None = None
    param: str | None = None
    message_contains: str | None = None
    _rule: Rule = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Refuse dangerous rules, and fold the phrase as messages are folded."""
        if self.diagnosis.effect is Effect.GRANTED:
            raise ValueError("a rule never means granted: only a payload proves access")
        if not self.tells():
            raise ValueError("a rule needs one of status, code, type, param, message_contains")
        words = fold(self.message_contains or "")
        exact = ((name, getattr(self, name)) for name in ("code", "type", "param"))
        rule = Rule(
            "own",
            self.diagnosis,
            phrases=(Phrase(words, "", (words,)),) if words else (),
            fields=tuple(
                (name, value.strip().casefold()) for name, value in exact if value is not None
            ),
            status=self.status,
        )
        object.__setattr__(self, "_rule", rule)

    def tells(self) -> list[str]:
        """The names of what it reads."""
        return [
            name
            for name in ("status", "code", "type", "param", "message_contains")
            if getattr(self, name) not in (None, "")
        ]

    def matches(self, layer: ErrorLayer, message: str, status: int | None) -> bool:
        """Whether an error of an answer is what this rule is for; `message` is folded."""
        return self._rule.matches(layer, message, (status, layer.status))


def find(
    rules: Sequence[OwnRule], answer: ParsedAnswer, folded: Sequence[str], status: int | None
) -> Finding | None:
    """What the first rule that matches says. `folded`: the errors' messages as rules compare them."""
    layers: Sequence[tuple[ErrorLayer, str]] = list(zip(answer.errors, folded, strict=True))
    if not layers:
        # a page, an empty body, a payload that proves nothing: its text is all there is
        text = answer.text if answer.kind in (Kind.HTML, Kind.TEXT) else ""
        layers = [(ErrorLayer(), fold(text))]
    for number, rule in enumerate(rules, 1):
        if any(rule.matches(layer, message, status) for layer, message in layers):
            code = rule.diagnosis
            gate = gate_of(answer.errors, folded) if code is Code.VERIFICATION_REQUIRED else None
            return Finding(code, f"settings_rule_{number}", code.owner, gate)
    return None
