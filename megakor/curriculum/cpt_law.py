"""The scaling law of continued pre-training (Zheng et al., EMNLP 2024, arXiv 2407.02118).

    L(N, D) = E + A / N^alpha + B / (D^beta N^gamma)

N: parameters, D: tokens of the target language. From scratch gamma is 0; continued training shares E, A and alpha with
training from scratch and has B, beta and gamma of its own, because a larger model transfers more. Compute is C = 6 N D.
Replayed tokens cost their compute and do nothing for the target language: with a share rho of replay the target
language gets (1 - rho) of the tokens.

The constants that the paper prints have two decimals. Evaluated as printed they put continued training above training
from scratch from about 2 tokens per parameter on, against the paper's own figures: `loss` refuses to. What can be used
of them are the compute-optimal lines and `PUBLISHED_LOSS_LINES`. No constant holds for another tokenizer or corpus.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from megakor.errors import ConfigError

FLOPS_PER_PARAMETER_AND_TOKEN = 6.0
_LARGEST_LOGARITHM = 700.0
TRUSTED_TOKENS_PER_PARAMETER = 2.0
"""Above this the printed constants contradict the paper's figures."""


@dataclass(frozen=True)
class Law:
    """Constants of one way of training: from scratch (gamma 0) or continued."""

    E: float
    A: float
    alpha: float
    B: float
    beta: float
    gamma: float = 0.0
    printed: bool = False
    """Constants as the paper prints them, rounded."""

    def loss(self, parameters: float, tokens: float) -> float:
        """Nats per token. Raises ConfigError where printed constants are known to be wrong."""
        if self.printed and tokens > TRUSTED_TOKENS_PER_PARAMETER * parameters:
            raise ConfigError(
                f"The printed constants of arXiv 2407.02118 are rounded, and at {tokens / parameters:.3g} tokens per "
                "parameter they put continued training above training from scratch, against the paper's own figures "
                f"(from about {TRUSTED_TOKENS_PER_PARAMETER:g} on). Fit a law to runs of your own (megakor cpt-law "
                "fit), or compare by compute (megakor cpt-law break-even --compute)."
            )
        return self.unguarded_loss(parameters, tokens)

    def unguarded_loss(self, parameters: float, tokens: float) -> float:
        """The formula, whatever the constants are worth."""
        return self.E + self.A / parameters**self.alpha + self.B / (tokens**self.beta * parameters**self.gamma)

    def optimum(self, compute: float) -> tuple[float, float]:
        """(parameters, tokens) of the least loss for `compute` FLOPs. Raises ConfigError where there is none."""
        if not (self.alpha > self.gamma and self.beta > self.gamma):
            raise ConfigError(
                f"A law with alpha {self.alpha:.3g}, beta {self.beta:.3g} and gamma {self.gamma:.3g} has no "
                "compute-optimal split: gamma must be below both. Fit it to runs of more sizes and lengths."
            )
        total = self.alpha + self.beta - self.gamma
        ratio = (self.alpha * self.A / ((self.beta - self.gamma) * self.B)) ** (1 / total)
        cost = compute / FLOPS_PER_PARAMETER_AND_TOKEN
        return ratio * cost ** (self.beta / total), cost ** ((self.alpha - self.gamma) / total) / ratio

    def optimum_line(self) -> tuple[tuple[float, float], tuple[float, float]]:
        """((k, a), (m, b)): parameters = k C^a and tokens = m C^b at the optimum."""
        total = self.alpha + self.beta - self.gamma
        a, b = self.beta / total, (self.alpha - self.gamma) / total
        parameters, tokens = self.optimum(FLOPS_PER_PARAMETER_AND_TOKEN)
        return (parameters / FLOPS_PER_PARAMETER_AND_TOKEN**a, a), (tokens / FLOPS_PER_PARAMETER_AND_TOKEN**b, b)


PUBLISHED_SCRATCH = Law(1.55, 420.0, 0.40, 719.5, 0.30, 0.0, printed=True)
PUBLISHED_CONTINUED = Law(1.55, 420.0, 0.40, 433.3, 0.20, 0.08, printed=True)
PUBLISHED_LOSS_LINES = {"scratch": (33.69907, -0.0579), "continued": (31.9594, -0.0575)}
"""Loss at the optimum = k C^e, as printed: (k, e)."""


@dataclass(frozen=True)
class Laws:
    """Training from scratch beside continued training on the same text."""

    scratch: Law
    continued: Law


PUBLISHED = Laws(PUBLISHED_SCRATCH, PUBLISHED_CONTINUED)


@dataclass(frozen=True)
class Split:
    """How compute is spent best."""

    parameters: float
    target_tokens: float
    """Of the target language."""
    tokens: float
    """With the replayed ones."""


def split(law: Law, compute: float, replay: float = 0.0) -> Split:
    """The compute-optimal size and tokens for `compute` FLOPs, of which the share `replay` goes to replayed text.

    Raises ConfigError for values out of range, and for a law without an optimum.
    """
    if not (compute > 0 and math.isfinite(compute)):
        raise ConfigError(f"The compute is {compute:g} FLOPs; give a number above 0, such as 1e20.")
    share = target_share(replay)
    parameters, target = law.optimum(share * compute)
    return Split(parameters, target, target / share)


def target_share(replay: float) -> float:
    """1 - replay. Raises ConfigError unless 0 <= replay < 1."""
    if not 0 <= replay < 1:
        raise ConfigError(f"The share of replay is {replay:g}; give a number from 0 up to, but not including, 1.")
    return 1 - replay


def tokens_with_replay(target_tokens: float, replay: float) -> float:
    """All tokens of a run that reads `target_tokens` of the target language beside a share `replay`."""
    return target_tokens / target_share(replay)


@dataclass(frozen=True)
class BreakEven:
    """Where both ways of training reach the same loss."""

    tokens: float
    """Of the target language. Infinite: they never do."""
    before: str
    """scratch or continued: the better one for fewer tokens."""


def break_even_tokens(laws: Laws, parameters: float) -> BreakEven:
    """Where the losses of both laws cross for a model of this size.

    Raises ConfigError for printed constants: their crossing is an artefact of rounding.
    """
    scratch, continued = laws.scratch, laws.continued
    if scratch.printed or continued.printed:
        raise ConfigError(
            "The printed constants of arXiv 2407.02118 cross where the paper's runs do not, because they are rounded. "
            "Give a law fitted to runs of your own with --law, or compare by compute with --compute."
        )
    advantage = math.log(scratch.B / continued.B) + continued.gamma * math.log(parameters)
    power = scratch.beta - continued.beta
    if power == 0:
        return BreakEven(math.inf, "continued" if advantage > 0 else "scratch")
    logarithm = advantage / power
    tokens = math.exp(logarithm) if logarithm < _LARGEST_LOGARITHM else math.inf
    return BreakEven(tokens, "continued" if power > 0 else "scratch")


def tokens_saved(laws: Laws, parameters: float, tokens: float) -> float:
    """Share of target tokens that continued training saves over training from scratch to the same loss.

    Below 0 it costs tokens; 1 means that no number of tokens from scratch reaches the loss. Raises ConfigError for
    printed constants out of their range.
    """
    loss = laws.continued.loss(parameters, tokens)
    scratch = laws.scratch
    rest = loss - scratch.E - scratch.A / parameters**scratch.alpha
    if rest <= 0:
        return 1.0
    return 1 - tokens / (scratch.B / (rest * parameters**scratch.gamma)) ** (1 / scratch.beta)


def compute_saved(compute: float, laws: Laws | None = None) -> float:
    """Share of FLOPs that continued training saves over `compute` FLOPs from scratch, both at their optimum.

    Without `laws`: by the two lines of the paper. Raises ConfigError for laws without an optimum.
    """
    if laws is None:
        (k, e), (m, f) = PUBLISHED_LOSS_LINES["scratch"], PUBLISHED_LOSS_LINES["continued"]
        return 1 - (m / (k * compute**e)) ** (-1 / f) / compute
    target = laws.scratch.unguarded_loss(*laws.scratch.optimum(compute))
    low, high = math.log(compute) - 30, math.log(compute) + 30
    if _best(laws.continued, math.exp(high)) > target:
        return -math.inf
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if _best(laws.continued, math.exp(middle)) > target else (low, middle)
    return 1 - math.exp(high) / compute


def _best(law: Law, compute: float) -> float:
    return law.unguarded_loss(*law.optimum(compute))
