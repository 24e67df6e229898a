"""What a run's scores rest on besides the lesion: images changed, artefacts, skin tones.

    python -m experiments.probe --run=runs/NAME

The run scores its test images again with the lesion hidden, with the skin hidden, blurred, in other colours, and with
hairs, rulers, ink, dark corners and bubbles drawn into them. The results lie in runs/NAME/probes, and the run's report
gets a chapter about them.
"""

from absl import flags

from experiments import cli
from experiments.paths import given_path
from mole_jax.errors import UserError

FLAGS = flags.FLAGS


def command() -> None:
    """Probes the run, prints what was found, renews its report."""
    if not FLAGS.run:
        raise UserError("give --run=runs/NAME, the directory of a finished run")
    from mole_jax import xla

    xla.configure()
    from mole_jax.report.page import write_report
    from mole_jax.studies.probe import Request, probe_run

    run_dir = given_path(FLAGS.run)
    request = Request(
        run_dir=run_dir,
        data_dir=given_path(FLAGS.data_dir) if FLAGS.data_dir else None,
        masks=FLAGS.masks if FLAGS.masks in ("auto", "given", "kmeans") else str(given_path(FLAGS.masks)),
        images=FLAGS.images,
        seed=FLAGS.seed,
    )
    folder, found = probe_run(request, tell=lambda line: print(line, flush=True))
    print(f"\n{found.verdict}\n")
    print(f"results in {folder}: probes.json, scores.csv")
    print(f"report in {write_report([run_dir], run_dir / 'report.html', data_dir=request.data_dir)}")
    print(cli.NOT_A_DEVICE)


def define_flags() -> None:
    """Defines this command's flags."""
    flags.DEFINE_string("run", None, "the directory of a finished run, or of an ensemble of seeds")
    flags.DEFINE_string("data_dir", None, "where its dataset lies; default: where the run had it")
    flags.DEFINE_string(
        "masks",
        "auto",
        "outlines of lesions: given, the dataset's own; kmeans; the directory of a segmenter; auto: given where there "
        "are any, else kmeans",
    )
    flags.DEFINE_integer("images", 0, "of each split, drawn at random; 0: all", 0)
    flags.DEFINE_integer("seed", 0, "of that draw, and of what is drawn into images", 0)


if __name__ == "__main__":
    define_flags()
    cli.main(command, description=__doc__ or "")
