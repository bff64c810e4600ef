"""How what a thief does to the answers of a stolen encoder is written: NAME or NAME=AMOUNT.

The encoder server does it; whoever has a victim served so checks the words before anything is made.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from latentprint.core.errors import UsageError, unknown_name

OBFUSCATIONS: Mapping[str, int | None] = {"permutation": None, "padding": 32, "linear": None, "rounding": 2}
"""What may be done to answers, to the amount that it takes by default; None for none."""
_MOST_AMOUNT = 4096


@dataclass(frozen=True)
class ObfuscationStep:
    """One change of the answers.

    Attributes:
        name: one of `OBFUSCATIONS`.
        amount: columns of zeros of "padding", decimals of "rounding"; else 0.
    """

    name: str
    amount: int = 0

    def __str__(self) -> str:
        return f"{self.name}={self.amount}" if OBFUSCATIONS[self.name] is not None else self.name

    @classmethod
    def parse(cls, text: str) -> "ObfuscationStep":
        """Read NAME or NAME=AMOUNT. Raises `UsageError` for another name or an amount that cannot be."""
        name, sign, amount = text.partition("=")
        if name not in OBFUSCATIONS:
            raise unknown_name("obfuscation", name, OBFUSCATIONS)
        usual = OBFUSCATIONS[name]
        if usual is None or not sign:
            if sign:
                raise UsageError(f"The obfuscation {text}: {name} takes no amount.")
            return cls(name, usual or 0)
        if not amount.isdecimal() or int(amount) > _MOST_AMOUNT:
            raise UsageError(f"The obfuscation {text}: the amount must be a whole number from 0 to {_MOST_AMOUNT}.")
        return cls(name, int(amount))
