"""What a run's scores rest on, and whether pictures of it can be believed for this network.

    python -m experiments.explain --run=runs/NAME
    python -m experiments.explain --run=runs/NAME --what=saliency --images=16 --methods=grad_cam,occlusion

saliency: maps of melanomas that the run missed and found, by eight methods or those that the network allows. Each is
tested on other melanomas of the test split: against a network made random, against turned images, and by hiding what
it points to. A method that fails is crossed out. pca: principal components of the pixels and of the network's features,
and how well the first few tell melanomas from the rest. The results lie in runs/NAME/explain, with a page; the run's
report gets a section.
"""

from absl import flags

from experiments import cli
from experiments.paths import given_path
from experiments.photographs import warn_of_photographs
from mole_jax.errors import UserError

FLAGS = flags.FLAGS
WHAT = ("saliency", "pca")
FEWEST = 4


def command() -> None:
    """Explains the run; prints what came out, writes the pages."""
    if not FLAGS.run:
        raise UserError("give --run=runs/NAME, the directory of a finished run")
    if strange := [name for name in FLAGS.what if name not in WHAT]:
        raise UserError(f"--what={strange[0]} is neither saliency nor pca; give --what=saliency,pca")
    if not FLAGS.what:
        raise UserError("--what is empty; give --what=saliency,pca, or one of them")
    if FLAGS.images < FEWEST:
        raise UserError(f"--images={FLAGS.images} is too few for an interval; give {FEWEST} or more")
    of_maps = [name for name in ("methods", "layer", "shuffle_labels", "masks") if FLAGS[name].present]
    if of_maps and "saliency" not in FLAGS.what:
        raise UserError(f"--{of_maps[0]} is for maps, and --what=pca makes none; give --what=saliency,pca")
    from mole_jax import xla

    xla.configure()
    from tqdm import tqdm

    from mole_jax.report.explanation.explanation_page import write_explanation_page
    from mole_jax.report.page import write_report
    from mole_jax.studies.explain import Request, explain_run

    run_dir = given_path(FLAGS.run)
    data_dir = given_path(FLAGS.data_dir) if FLAGS.data_dir else None
    request = Request(
        run_dir=run_dir,
        what=tuple(FLAGS.what),
        images=FLAGS.images,
        methods=tuple(FLAGS.methods),
        layer=FLAGS.layer,
        data_dir=data_dir,
        shuffle_labels=FLAGS.shuffle_labels,
        masks=given_path(FLAGS.masks) if FLAGS.masks else None,
    )
    folder = explain_run(request, tell=tqdm.write)
    page = write_explanation_page(run_dir)
    warn_of_photographs(page)
    print(f"results in {folder}, their page in {page}")
    print(f"report in {write_report([run_dir], run_dir / 'report.html', data_dir=data_dir)}")
    print(cli.NOT_A_DEVICE)


def define_flags() -> None:
    """Defines this command's flags."""
    flags.DEFINE_string("run", None, "directory of a finished run")
    flags.DEFINE_list("what", list(WHAT), "saliency (maps and their tests), pca (principal components), or both")
    flags.DEFINE_integer("images", 8, "melanomas that the tests use, and pictures that are shown")
    flags.DEFINE_list(
        "methods",
        [],
        "some of gradient, input_x_gradient, smoothgrad, integrated_gradients, cam, grad_cam, grad_cam_plus_plus and "
        "occlusion (default: all that the network allows)",
    )
    flags.DEFINE_string("layer", "", "the feature map that Grad-CAM reads (default: the last one)")
    flags.DEFINE_bool(
        "shuffle_labels",
        False,
        "train the run once more on shuffled labels first, as long as the run took, and compare the maps",
    )
    flags.DEFINE_string(
        "masks", None, "directory of a segmenter that outlines the lesions (default: the dataset's own masks, if any)"
    )
    flags.DEFINE_string("data_dir", None, "where the run's dataset lies (default: as the run had it)")


if __name__ == "__main__":
    define_flags()
    cli.main(command, description=__doc__ or "")
