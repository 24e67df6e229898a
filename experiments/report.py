"""One HTML page about one run, or several side by side.

python -m experiments.report --runs=runs/a,runs/b --out=report.html
"""

from absl import flags

from experiments import cli
from experiments.paths import given_path, given_paths
from experiments.photographs import warn_of_photographs

FLAGS = flags.FLAGS


def command() -> None:
    """Reads the run directories, writes the page and figures/ beside it."""
    from mole_jax.report.page import write_report

    data_dir = given_path(FLAGS.data_dir) if FLAGS.data_dir else None
    out = write_report(given_paths("runs", FLAGS.runs), given_path(FLAGS.out), data_dir=data_dir)
    warn_of_photographs(out)
    print(f"report in {out}, its figures and numbers in {out.parent / 'figures'}")


def define_flags() -> None:
    """Defines this command's flags."""
    flags.DEFINE_list(
        "runs",
        None,
        "directories of finished runs, or folders of `evaluate --out`, separated by commas; * stands for many",
        required=True,
    )
    flags.DEFINE_string("out", "report.html", "the page; figures/ is written beside it")
    flags.DEFINE_string("data_dir", None, "where prepared datasets lie, for photographs (default: as each run had it)")


if __name__ == "__main__":
    define_flags()
    cli.main(command, description=__doc__)
