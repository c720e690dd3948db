"""`megakor cpt-law fit`: the scaling law of continued training, fitted to one's own runs."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from megakor.curriculum.cpt_law import Law
from megakor.curriculum.cpt_law_fit import CptFit, CptRun, fit_cpt_law
from megakor.errors import ConfigError, ExitCode
from megakor.laws.cpt_runs import read_data, read_run, write_law
from megakor.text_table import aligned
from megakor.units import compact


def main(arguments: Sequence[str]) -> int:
    """Fit, print, write."""
    given = _parser().parse_args(arguments)
    runs = _runs(given)
    fit = fit_cpt_law(runs, given.replicates, seed=given.seed)
    print(fit_text(runs, fit))
    if given.output is not None:
        write_law(fit, runs, given.output)
        print(f"wrote {given.output}")
    return ExitCode.DONE


def _runs(given: argparse.Namespace) -> list[CptRun]:
    """Raises ConfigError when both or neither kind of input is given."""
    directories = bool(given.scratch or given.continued)
    if directories == (given.data is not None):
        raise ConfigError("Give runs with --scratch and --continued, or one DATA.json; not both.")
    if given.data is not None:
        return read_data(given.data)
    if not given.language:
        raise ConfigError("--language is needed: the target language whose loss the law is of, such as ko.")
    runs = [read_run(directory, given.language, False) for directory in given.scratch]
    return runs + [read_run(directory, given.language, True) for directory in given.continued]


def fit_text(runs: Sequence[CptRun], fit: CptFit) -> str:
    """Laws with intervals, and the error of every run."""
    lines = ["L(N, D) = E + A / N^alpha + B / (D^beta N^gamma)", ""]
    for kind, law in (("scratch", fit.scratch), ("continued", fit.continued)):
        if law is not None:
            lines += [f"{kind}", *aligned(_constants(kind, law, fit), 1), ""]
    rows = [("run", "parameters", "tokens", "loss", "error")]
    for run, error in zip(runs, fit.errors, strict=True):
        rows.append((run.name, compact(run.parameters), compact(run.tokens), f"{run.loss:.4f}", f"{error:+.3%}"))
    lines += aligned(rows, 1)
    if fit.at_bound:
        lines += ["", f"not determined by these runs (on the bound of their range): {', '.join(fit.at_bound)}"]
        lines += ["nothing can be planned with this law; add runs of other sizes and lengths"]
    return "\n".join(lines)


def _constants(kind: str, law: Law, fit: CptFit) -> list[tuple[str, str, str]]:
    rows = []
    for name in ("E", "A", "alpha", "B", "beta", *(("gamma",) if kind == "continued" else ())):
        interval = fit.intervals.get(f"{kind}.{name}") or fit.intervals.get(name)
        words = f"{interval[0]:.4g} to {interval[1]:.4g}" if interval else "no interval"
        rows.append((f"  {name}", f"{getattr(law, name):.4g}", words))
    return rows


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="megakor cpt-law fit",
        description="Fit L(N, D) = E + A / N^alpha + B / (D^beta N^gamma) to the ends of runs of several sizes and "
        "lengths (arXiv 2407.02118). N counts parameters without embeddings, D tokens of the target language.",
    )
    add = parser.add_argument
    add("data", nargs="?", type=Path, metavar="DATA.json", help="runs in one file (docs/plan-a-mixture.md)")
    add("--scratch", nargs="+", type=Path, default=[], metavar="RUN", help="runs that began with random weights")
    add("--continued", nargs="+", type=Path, default=[], metavar="RUN", help="runs that continue from another model")
    add("--language", metavar="LANGUAGE", help="of the loss, such as ko")
    add("--replicates", type=int, default=50, metavar="N", help="of the bootstrap over runs (default: %(default)s)")
    add("--seed", type=int, default=0, help="of the bootstrap (default: %(default)s)")
    add("--output", type=Path, metavar="LAW", help="write the law as JSON, for split and break-even")
    return parser
