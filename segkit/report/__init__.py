"""One self-contained page about a run."""

from segkit.report.write import write_report

__all__ = ["write_report"]
