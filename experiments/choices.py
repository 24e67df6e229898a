"""What the user says of a folder of images: the flags that `prepare` and `audit` share."""

from absl import flags

from mole_jax.data.source.choices import Choices, parse_classes
from mole_jax.vocabulary.diagnoses import Decisions

FLAGS = flags.FLAGS


def define_choice_flags() -> None:
    """Defines the flags."""
    flags.DEFINE_list("positive", [], "diagnoses that count as melanoma, beyond those that are known to")
    flags.DEFINE_list("negative", [], "diagnoses that count as not melanoma, beyond those that are known to")
    flags.DEFINE_string(
        "table", "", "a table of the images, for any folder, or several with commas between them; needs --label"
    )
    flags.DEFINE_string(
        "id",
        "",
        "its column of image ids, names of files with or without ending; default: image_id and the like; "
        "without a header columns are called 1, 2, ...",
    )
    flags.DEFINE_string(
        "label", "", "its column of diagnoses; several: one a diagnosis, or from the broadest to the narrowest"
    )
    flags.DEFINE_list("group", [], "its columns of lesions or patients, which no split tears apart")
    flags.DEFINE_string("split", "", "its column of splits: train, validation, test; default: split anew")
    flags.DEFINE_bool("follow_links", False, "follow links that lead out of the source")
    flags.DEFINE_list("classes", [], 'folders that are classes, melanoma 1: "malignant=1,benign=0"')


def given_choices() -> Choices:
    """What the flags say.

    Raises:
        UserError: they contradict each other, or lack each other.
    """
    return Choices(
        Decisions(tuple(FLAGS.positive), tuple(FLAGS.negative)),
        parse_classes(FLAGS.classes),
        FLAGS.table,
        FLAGS.id,
        FLAGS.label,
        tuple(FLAGS.group),
        FLAGS.split,
        FLAGS.follow_links,
    )
