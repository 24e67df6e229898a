"""How long does the paper's transfer job take, from a folder of JPEGs to the predictions of every split?

Five epochs of a head on a frozen ResNet50. This project: `prepare`, then `experiments.run`, which sends every image
through the frozen network once, stores the features and trains the head on them. Keras, as the paper did it: the frozen
base is a part of the model and sees every training and validation image in every epoch, then all of them once more for
the predictions.

Fair: the same JPEGs, split sizes, batch and layers of the head; whole jobs, each in fresh processes, with imports and
compilation; this project also writes checkpoints, a bootstrap of every figure and an HTML report. Its compilation cache
is warm, as it is from the second job on; Keras has none. Random weights: they do not change the speed.
"""

import itertools
import shutil
from pathlib import Path

from benchmarks import keras_networks
from benchmarks.cnn_step import KERAS_TF
from benchmarks.commands import run
from benchmarks.harness import WHOLE_JOB, Contestant, run_once
from benchmarks.images import write_folder
from benchmarks.networks import IMAGE_SIZE
from benchmarks.question import OURS, Measure, Question, Ratio, Setting
from benchmarks.turn import Turn

EPOCHS = 5
# `--head=pooled`: batch norm and these layers on the pooled features. The paper's own head (415 M parameters on the
# maps) costs both sides the same and needs 18 GB.
HEAD = (256, 32, 1)
BATCH = 100


def question(setting: Setting) -> Question:
    """The question."""
    images = min(setting.images, 100) if setting.quick else setting.images
    folder = write_folder(setting, images)
    logs, work = setting.work / "logs", str(setting.work / "transfer")
    # Fills this project's compilation cache, whose programs are the same for any number of images.
    run_once("benchmarks.transfer:ours", logs=logs, folder=str(write_folder(setting, 32)), work=work)
    job = Measure(WHOLE_JOB, "transfer, 5 epochs, from JPEGs to predictions", "s", "lower")
    training = Measure("run", "of this `experiments.run`, on the prepared dataset", "s", "lower")
    common = {"folder": str(folder)}
    peer = common | {"platform": setting.machine.platform}
    return Question(
        "How long does the paper's transfer job take?",
        [
            Contestant(OURS, "benchmarks.transfer:ours", common | {"work": work}, fresh=True),
            Contestant(KERAS_TF, "benchmarks.transfer:keras", peer, keras_networks.ON_TENSORFLOW, fresh=True),
        ],
        [job, training],
        [Ratio(job, (KERAS_TF,), KERAS_TF, 4.0)],
        rounds=2,
        warm_up=0,
        note=f"{images} images in all, head {HEAD} on pooled features, batch {BATCH}.",
    )


def ours(*, folder: str, work: str) -> Turn:
    """Two commands, as a user types them."""
    turns = itertools.count()

    def turn() -> dict[str, float]:
        place = Path(work) / f"{next(turns)}"
        shutil.rmtree(work, ignore_errors=True)
        data_dir = f"--data_dir={place}"
        prepare = run("experiments.prepare", "--dataset=jpegs", f"--source={folder}", data_dir)
        flags = ["--model=transfer", "--head=pooled", "--weights=random", f"--epochs={EPOCHS}", f"--batch_size={BATCH}"]
        training = run("experiments.run", *flags, "--dataset=jpegs", data_dir, f"--run_dir={place / 'run'}")
        return {"prepare": prepare, "run": training}

    return turn


def keras(*, folder: str, platform: str) -> Turn:
    """The frozen base in the model."""
    library = keras_networks.use(platform, "float32")
    layers = library.layers
    base = library.applications.ResNet50(weights=None, include_top=False, pooling="avg")
    base.trainable = False
    inputs = layers.Input((IMAGE_SIZE, IMAGE_SIZE, 3))
    x = base(library.applications.resnet50.preprocess_input(inputs), training=False)
    x = layers.BatchNormalization()(x)
    for width in HEAD[:-1]:
        x = layers.Dense(width, activation="relu")(x)
    model = library.Model(inputs, layers.Dense(HEAD[-1])(x))
    model.compile(library.optimizers.Adam(1e-3), library.losses.BinaryCrossentropy(from_logits=True))
    train, rest = library.utils.image_dataset_from_directory(
        folder,
        label_mode="binary",
        batch_size=None,
        image_size=(IMAGE_SIZE, IMAGE_SIZE),
        seed=0,
        validation_split=0.4,
        subset="both",
    )
    half = len(rest.file_paths) // 2
    splits = [split.batch(BATCH).prefetch(2) for split in (train, rest.take(half), rest.skip(half))]

    def turn() -> dict[str, float]:
        history = model.fit(splits[0], validation_data=splits[1], epochs=EPOCHS, verbose=0).history
        assert len(history["val_loss"]) == EPOCHS, "every epoch"
        scored = [len(model.predict(split, verbose=0)) for split in splits]
        assert scored == [len(train.file_paths), half, len(rest.file_paths) - half], "every image"
        return {}

    return turn
