"""Write one page with the numbers and pictures of a run."""

from dataclasses import dataclass

from tf_facenet.config import positional


@dataclass(kw_only=True)
class Options:
    """Write one page with the numbers and pictures of a run."""

    run: str = positional("run folder")


def run(options):
    """Write report.html and say where."""
    from tf_facenet.evaluation.report import write_report

    print(f"Report: {write_report(options.run)}")
