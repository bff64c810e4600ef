"""Differential privacy of a training: what is asked for, and the budget that follows for one set of members."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

from latentprint.core.errors import UsageError

Accountant = Literal["rdp", "prv"]


@dataclass(frozen=True)
class Privacy:
    """What DP-SGD (Abadi et al., CCS 2016) is asked for.

    Attributes:
        noise_multiplier: standard deviation of the noise in units of max_grad_norm; 1.0 where epsilon is None too.
        epsilon: the budget of the whole training instead, from which the noise follows.
        delta: of the (epsilon, delta) guarantee; None: a tenth of one over the members.
        max_grad_norm: L2 norm to which the gradient of each record is clipped.
        accountant: "rdp" (Renyi, a strict bound) or "prv" (numerical, tighter, slower).
        records_at_once: records whose gradients are held in memory together.
    """

    noise_multiplier: float | None = None
    epsilon: float | None = None
    delta: float | None = None
    max_grad_norm: float = 1.0
    accountant: Accountant = "rdp"
    records_at_once: int = 32

    def __post_init__(self) -> None:
        if self.noise_multiplier is not None and self.epsilon is not None:
            raise UsageError("defence 'dp-sgd': give noise_multiplier or epsilon, not both.")
        for name in ("noise_multiplier", "epsilon", "delta", "max_grad_norm"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise UsageError(f"defence 'dp-sgd': {name} must be above 0, not {value}.")
        if self.records_at_once < 1:
            raise UsageError(f"defence 'dp-sgd': records_at_once must be at least 1, not {self.records_at_once}.")

    def budget(self, members: int, steps_per_epoch: int, epochs: int) -> "Budget":
        """The budget of a training of `epochs` on `members` records.

        Raises:
            UsageError: a delta that protects nobody, or an epsilon that no noise reaches.
        """
        delta = 1 / (10 * members) if self.delta is None else self.delta
        if delta >= 1 / members:
            raise UsageError(
                f"defence 'dp-sgd': delta {delta:g} allows to publish one of {members} members outright: "
                f"choose one well below {1 / members:.1g}."
            )
        rate, steps = 1 / steps_per_epoch, steps_per_epoch * epochs
        noise = self.noise_multiplier or 1.0
        if self.epsilon is not None:
            noise = _noise_for(self.epsilon, delta, rate, steps, self.accountant)
        return Budget(noise, self.max_grad_norm, delta, rate, steps, members * rate, self.accountant)


@dataclass(frozen=True)
class Budget:
    """What one training may spend.

    Attributes:
        noise_multiplier: standard deviation of the noise in units of max_grad_norm.
        max_grad_norm: bound on each record's share of a step's summed gradient, L2.
        delta: of the guarantee.
        sample_rate: probability of each member at each step.
        steps: of the whole training.
        expected_batch_size: members times sample_rate; what the noisy sum is divided by.
        accountant: "rdp" or "prv".
    """

    noise_multiplier: float
    max_grad_norm: float
    delta: float
    sample_rate: float
    steps: int
    expected_batch_size: float
    accountant: Accountant

    def epsilon(self, steps: int) -> float:
        """What `steps` steps have spent: the accountant's upper bound on epsilon at `delta`."""
        from opacus.accountants import create_accountant

        if steps == 0:
            return 0.0
        accountant = create_accountant(self.accountant)
        accountant.history = [(self.noise_multiplier, self.sample_rate, steps)]
        return float(accountant.get_epsilon(self.delta))

    def facts(self, held_constant: str) -> dict[str, Any]:
        """The budget and what it assumes, for a card; `held_constant` as the recipe declares it."""
        return {
            **asdict(self),
            "neighbours": "training sets that differ by the presence of one record",
            "sampling": "Poisson: each step takes each member independently with probability sample_rate",
            "covers": "the published weights, not the accuracies and losses that are logged beside them",
            "not_counted": held_constant or "nothing: a step's gradients depend on its records and the weights alone",
        }


def _noise_for(epsilon: float, delta: float, rate: float, steps: int, accountant: Accountant) -> float:
    from opacus.accountants.utils import get_noise_multiplier

    try:
        return float(
            get_noise_multiplier(
                target_epsilon=epsilon, target_delta=delta, sample_rate=rate, steps=steps, accountant=accountant
            )
        )
    except ValueError as error:
        raise UsageError(f"defence 'dp-sgd': epsilon {epsilon:g} is out of reach ({error}): choose a larger.") from None
