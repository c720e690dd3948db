"""See megakor/report/plot.py and docs/reports.md, or --help."""

import sys

from megakor.tool import run_tool

if __name__ == "__main__":
    sys.exit(run_tool("megakor.report.commands", "plot_losses"))
