"""The verbs of `megakor`. Each one imports what it needs when it is called, so that --help answers at once."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from megakor import __version__
from megakor.checkpoint.verbs import VERBS as CHECKPOINT_VERBS
from megakor.checkpoint.verbs import listed as listed_checkpoint_verbs
from megakor.checkpoint.verbs import run as run_checkpoint_verb
from megakor.config.quantities import parse_tokens
from megakor.corpus.verbs import VERBS as CORPUS_VERBS
from megakor.corpus.verbs import listed as listed_corpus_verbs
from megakor.corpus.verbs import run as run_corpus_verb
from megakor.errors import ExitCode, MegakorError, report
from megakor.launch.verbs import add_verbs as add_launch_verbs
from megakor.laws.verbs import CMR as CMR_VERBS
from megakor.laws.verbs import CPT_LAW as CPT_LAW_VERBS
from megakor.laws.verbs import run as run_law_verb
from megakor.pretrain_verb import add_verb as add_pretrain

if TYPE_CHECKING:
    _Verbs = argparse._SubParsersAction[argparse.ArgumentParser]

INTERRUPTED = 130
"""Exit code after Ctrl-C, as in a shell."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb; its exit code says how it ended (docs/exit-codes.md)."""
    options = parse(list(sys.argv[1:] if arguments is None else arguments))
    try:
        return int(options.verb(options))
    except MegakorError as error:
        # The first rank of each machine speaks: what is wrong on one machine may be right on the others.
        if error.on_every_rank and os.environ.get("LOCAL_RANK", "0") != "0":
            return error.exit_code
        return report(error)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        return ExitCode.DONE


def parse(words: list[str]) -> argparse.Namespace:
    """The options of a command line. argparse takes KEY=VALUE words in one run only, so those after an option are added
    here."""
    parser = _parser()
    options, rest = parser.parse_known_args(words)
    unknown = [word for word in rest if word.startswith("-")] if "overrides" in options else rest
    if unknown:
        parser.error(f"unknown: {' '.join(unknown)} (megakor {words[0]} --help lists the options)")
    if rest:
        options.overrides = [*options.overrides, *rest]
    return options


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="megakor", description="Bilingual pretraining on Megatron-core.")
    parser.add_argument("--version", action="version", version=f"megakor {__version__}")
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    add_pretrain(verbs)
    add_launch_verbs(verbs)
    _add_verbs_on_runs(verbs)
    _add_verbs_on_files(verbs)
    _add_laws(verbs)
    _add_doctor(verbs)
    return parser


def _add_verbs_on_runs(verbs: _Verbs) -> None:
    verb = verbs.add_parser("ledger", help="what a run has read, per source and per language")
    verb.add_argument("run", type=Path, help="run directory")
    verb.add_argument("--json", action="store_true", help="for programs")
    verb.set_defaults(verb=_ledger)

    verb = verbs.add_parser("gap", help="how far scores fell at the start of continued training, and their recovery")
    verb.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="run directories")
    verb.add_argument("--from", dest="start", type=_tokens, metavar="TOKENS", help="measure from here on")
    verb.add_argument("--plot", type=Path, metavar="FILE", help="draw all runs side by side (.png, .svg, .pdf)")
    verb.add_argument("--json", action="store_true", help="for programs")
    verb.set_defaults(verb=_gap)

    verb = verbs.add_parser("tensorboard", help="watch runs in a browser, also from another machine")
    verb.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="run directories, or directories of runs")
    verb.add_argument("--port", type=_port, metavar="N", help="0: any free one (default: 6006, or the next free one)")
    verb.add_argument("--host", default="127.0.0.1", help="address to serve on (default: 127.0.0.1, this machine only)")
    verb.set_defaults(verb=_tensorboard)

    verb = verbs.add_parser("generate", help="continue a text with the newest checkpoint of a run")
    verb.add_argument("run", type=Path, help="run directory")
    verb.add_argument("--prompt", action="append", required=True, help="may be given several times")
    verb.add_argument("--tokens", type=int, default=48, help="tokens to add (default: 48)")
    verb.add_argument("--temperature", type=float, default=0.0, help="0 takes the likeliest token (default)")
    verb.add_argument("--seed", type=int, default=0)
    verb.set_defaults(verb=_generate)


def _add_verbs_on_files(verbs: _Verbs) -> None:
    verb = verbs.add_parser(
        "corpus",
        help="look at shards, and make new ones from them",
        description="Look at shards, and make new ones from them (tools/preprocess_data.py makes the first ones).",
        epilog=f"verbs:\n{listed_corpus_verbs()}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verb.add_argument("corpus_verb", nargs="?", metavar="VERB", choices=list(CORPUS_VERBS), help="one of those below")
    verb.add_argument("arguments", nargs=argparse.REMAINDER, help="megakor corpus VERB --help lists them")
    verb.set_defaults(verb=_corpus, explain=verb.print_help)

    verb = verbs.add_parser(
        "checkpoint",
        help="list, verify and prune the checkpoints of a run",
        description="Look after the checkpoints of a run.",
        epilog=f"verbs:\n{listed_checkpoint_verbs()}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verb.add_argument("checkpoint_verb", metavar="VERB", choices=list(CHECKPOINT_VERBS), help="one of those below")
    verb.add_argument("arguments", nargs=argparse.REMAINDER, help="megakor checkpoint VERB --help lists them")
    verb.set_defaults(verb=_checkpoint)


def _add_laws(verbs: _Verbs) -> None:
    verb = verbs.add_parser("cmr", help="the critical mixture ratio: how much domain text continued training bears")
    verb.add_argument("law_verb", metavar="VERB", choices=list(CMR_VERBS), help=_listed(CMR_VERBS))
    verb.add_argument("arguments", nargs=argparse.REMAINDER, help="megakor cmr VERB --help lists them")
    verb.set_defaults(verb=_law, laws=CMR_VERBS)

    verb = verbs.add_parser("cpt-law", help="the scaling law of continued training: size, tokens, break-even")
    verb.add_argument("law_verb", metavar="VERB", choices=list(CPT_LAW_VERBS), help=_listed(CPT_LAW_VERBS))
    verb.add_argument("arguments", nargs=argparse.REMAINDER, help="megakor cpt-law VERB --help lists them")
    verb.set_defaults(verb=_law, laws=CPT_LAW_VERBS)


def _add_doctor(verbs: _Verbs) -> None:
    verb = verbs.add_parser(
        "doctor",
        help="what this machine or this cluster has, and what is in the way of a run",
        description="Examine this machine or, under srun, mpirun or torchrun, all nodes at once, each rank against "
        "the others. Exit code 71 where no run can work.",
    )
    verb.add_argument("config", nargs="?", help="YAML file of the run: its data, directory and size are looked at, too")
    verb.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="for example run.dir=/scratch/runs/a")
    verb.set_defaults(verb=_doctor)


def _ledger(options: argparse.Namespace) -> int:
    from megakor.data.statement import ledger_report

    print(ledger_report(options.run, options.json))
    return ExitCode.DONE


def _tokens(text: str) -> int:
    try:
        return parse_tokens(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _gap(options: argparse.Namespace) -> int:
    from megakor.report.gap import gap_json, gap_table, read_gaps

    runs = [read_gaps(run, options.start) for run in options.runs]
    print(gap_json(runs) if options.json else gap_table(runs))
    if options.plot is not None:
        from megakor.report.gap_plot import plot_gaps

        plot_gaps(runs, options.plot)
    return ExitCode.DONE


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text} is no port; ports are numbers from 0 to 65535")
    return int(text)


def _tensorboard(options: argparse.Namespace) -> int:
    from megakor.report.watch import watch

    watch(options.runs, options.host, options.port)
    return ExitCode.DONE


def _generate(options: argparse.Namespace) -> int:
    from megakor.train.start import import_libraries

    import_libraries(_device_of(options.run))
    from megakor.train.generate import generate

    for text in generate(options.run, options.prompt, options.tokens, options.temperature, options.seed):
        print(text)
    return ExitCode.DONE


def _device_of(run: Path) -> str:
    """`device` of a run; what is not there is told by whoever opens it."""
    from megakor.config.load import load_config

    path = run / "config.yaml"
    return load_config(path).device if path.is_file() else "auto"


def _corpus(options: argparse.Namespace) -> int:
    if options.corpus_verb is None:
        options.explain(sys.stderr)
        return ExitCode.USAGE
    return run_corpus_verb(options.corpus_verb, options.arguments)


def _checkpoint(options: argparse.Namespace) -> int:
    return run_checkpoint_verb(options.checkpoint_verb, options.arguments)


def _listed(verbs: dict[str, tuple[str, str]]) -> str:
    return "; ".join(f"{name}: {words}" for name, (_, words) in verbs.items())


def _law(options: argparse.Namespace) -> int:
    return run_law_verb(options.laws, options.law_verb, options.arguments)


def _doctor(options: argparse.Namespace) -> int:
    from megakor.launch.placement import adopt_rank
    from megakor.launch.rendezvous import Rendezvous
    from megakor.train.start import quiet_libraries

    adopt_rank(os.environ)
    rendezvous = Rendezvous.from_environment()
    config = None
    if options.config is not None:
        from megakor.config.check import valid_config

        ranks = rendezvous.world_size if rendezvous.world_size > 1 else None
        config, _ = valid_config(options.config, options.overrides, world_size=ranks)
    quiet_libraries()
    from megakor.doctor.examination import examine

    return examine(config, rendezvous)
