"""The verbs of `megakor cmr` and `megakor cpt-law`: one module each, imported when it is called."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module

CMR = {
    "sweep": ("megakor.laws.cmr_sweep", "short runs over mixture ratios from one base, for a fit"),
    "fit": ("megakor.laws.cmr_fit", "fit the critical mixture ratio to the runs of a sweep"),
    "plan": ("megakor.laws.cmr_plan", "write the fitted mixture into a config"),
}
CPT_LAW = {
    "fit": ("megakor.laws.cpt_law_fit", "fit the scaling law of continued training to runs"),
    "split": ("megakor.laws.cpt_law_split", "the compute-optimal size and tokens, with a share of replay"),
    "break-even": ("megakor.laws.cpt_law_break_even", "continued training against training from scratch"),
}


def run(verbs: dict[str, tuple[str, str]], verb: str, arguments: Sequence[str]) -> int:
    """Run one verb; returns its exit code. Raises MegakorError."""
    return int(import_module(verbs[verb][0]).main(arguments))
