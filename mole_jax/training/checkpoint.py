"""Checkpoints of one run: the only module that knows orbax.

A checkpoint is the train state, the run's config and its last validation metrics; the state's step is also the loader's
position. The newest is kept, from which a run resumes, and the best by validation AUROC, from which it predicts.
"""

import gc
import shutil
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import takewhile
from pathlib import Path
from typing import Any, Final, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp

from mole_jax.config import RunConfig
from mole_jax.errors import UserError, full_disk_explained
from mole_jax.files.changes import is_ours, remove_folder
from mole_jax.files.sums import find_fault, seal_all
from mole_jax.files.tensors import differences, shape_text
from mole_jax.models.base import Variables
from mole_jax.processes import is_first, wait_for_all
from mole_jax.training.state import TrainState

Policies = ocp.checkpoint_managers
# The largest head's state is 4.9 GB. So that no second copy of it lies in memory, an array is written in chunks,
# uncompressed (floats that look like noise hardly shrink), and about so many gigabytes at a time are in flight. Orbax
# splits the longest axis first: at 64 MiB, an array whose other axes hold up to 4,096 floats is split into whole rows,
# which are written from where they stand; parts of rows are copied first.
CHUNK_BYTES = 64 * 2**20
IN_FLIGHT_GB = 1
CHECKPOINT: Final = "checkpoint"  # the kind of its folder
REMOVED: Final = "removed"


class Checkpoint(NamedTuple):
    """What is saved after a step.

    Attributes:
        state: the train state after that step.
        metrics: the metrics of the last validation, the one that tells the best among them.
    """

    state: TrainState
    metrics: dict[str, Any]


class Checkpoints:
    """The checkpoints of one run directory; a context manager."""

    def __init__(
        self, directory: Path, identity: str = "", *, best_by: str = "validation_auroc", beside: bool = False
    ) -> None:
        """Opens a directory, and makes it if it is missing.

        Args:
            directory: an absolute path.
            identity: of the run (`Identity.digest`); a checkpoint of another one is refused.
            best_by: the metric whose highest value is the best checkpoint's.
            beside: whether a copy of the state is written while the caller goes on, as `writes_beside` advises; what
                asks for a checkpoint waits until it is whole, and what goes wrong is raised there.

        Raises:
            UserError: orbax cannot read what lies there.
        """
        self._identity, self._best_by = identity, best_by
        self._writer = ThreadPoolExecutor(1, "checkpoint") if beside else None
        self._writing: Future[None] | None = None
        try:
            self._manager = self._open(directory, best_by)
        except Exception as error:  # whatever orbax makes of a file that is damaged
            raise UserError(
                f"{directory} has a checkpoint that cannot be read ({error}) and no digests to tell which; move that "
                "folder away, and the same command begins again"
            ) from error

    @staticmethod
    def _open(directory: Path, best_by: str) -> ocp.CheckpointManager:
        return ocp.CheckpointManager(
            directory,
            item_handlers={
                "state": ocp.PyTreeCheckpointHandler(
                    use_compression=False, save_device_host_concurrent_gb=IN_FLIGHT_GB
                ),
                "about": ocp.JsonCheckpointHandler(),
            },
            options=ocp.CheckpointManagerOptions(
                preservation_policy=Policies.AnyPreservationPolicy(
                    [
                        Policies.LatestN(1),
                        # A checkpoint without metrics was being removed when the process was killed.
                        Policies.BestN(get_metric_fn=lambda m: m[best_by], n=1, keep_checkpoints_without_metrics=False),
                    ]
                ),
                best_fn=lambda metrics: metrics[best_by],
                # The state's buffers are donated to the next step, which may overwrite them while an asynchronous
                # save still reads; and a checkpoint is sealed when it is whole. `save` has a way of its own.
                enable_async_checkpointing=False,
                # What is removed goes there first, in one move: a kill leaves no half of a checkpoint in its place.
                todelete_subdir=REMOVED,
            ),
        )

    def __enter__(self) -> "Checkpoints":
        """Nothing to do: the directory is open."""
        return self

    def __exit__(self, *_: object) -> None:
        """Closes the manager, once all is written."""
        try:
            self._wait()
        finally:
            if self._writer:
                self._writer.shutdown()
            self._manager.close()

    def _wait(self) -> None:
        """Until the checkpoint that is being written beside the caller is whole; raises what stopped it."""
        if self._writing:
            writing, self._writing = self._writing, None
            writing.result()

    @property
    def latest_step(self) -> int | None:
        """The newest checkpoint's step; None where there is none."""
        self._wait()
        return self._manager.latest_step()

    @property
    def best_step(self) -> int:
        """The step of the checkpoint with the highest validation AUROC, or whatever tells the best."""
        self._wait()
        return self._manager.best_step()

    def remove_unfinished(self) -> None:
        """Removes what a kill has left: a checkpoint without its digests and what came after it, and all that are
        neither the newest nor the best.
        """
        steps = sorted(self._manager.all_steps())
        whole = list(takewhile(lambda step: is_ours(self._folder(step)), steps))
        wait_for_all("checkpoints are read")
        for step in steps[len(whole) :]:
            if is_first():
                seal_all(self._folder(step), CHECKPOINT)  # ours, which the mark is to say
            self._manager.delete(step)
        for step in set(whole) - {self._manager.latest_step(), self._manager.best_step()}:
            self._manager.delete(step)
        if is_first():
            self._empty_removed()

    def save(self, checkpoint: Checkpoint, config: RunConfig) -> None:
        """Writes a checkpoint; it appears whole or not at all.

        Raises:
            UserError: the disk is too full, for this one or the one before.
        """
        self._wait()
        if self._writer:
            copied = checkpoint._replace(state=jax.tree.map(np.array, checkpoint.state))
            self._writing = self._writer.submit(self._write, copied, config)
        else:
            self._write(checkpoint, config)

    def _write(self, checkpoint: Checkpoint, config: RunConfig) -> None:
        folder = Path(self._manager.directory)
        remedy = "make room and give the same command again, which goes on from the checkpoint before"
        needed = sum(leaf.nbytes for leaf in jax.tree.leaves(checkpoint.state)) if is_first() else 0
        if needed > (free := shutil.disk_usage(folder).free):  # orbax would report it with five tracebacks
            raise UserError(
                f"a checkpoint needs {needed / 1e9:.3f} GB and {folder} has {free / 1e9:.3f} GB free: {remedy}"
            )
        with full_disk_explained(folder, remedy):
            self._save(checkpoint, config)

    def _save(self, checkpoint: Checkpoint, config: RunConfig) -> None:
        step = int(checkpoint.state.step)
        about = {"config": config.to_dict(), "identity": self._identity, "figures": checkpoint.metrics}
        validated = checkpoint.metrics.get("step") == step
        state = _kept(checkpoint.state)
        in_chunks = jax.tree.map(lambda _: ocp.SaveArgs(chunk_byte_size=CHUNK_BYTES), state)
        self._manager.save(
            step,
            args=ocp.args.Composite(
                state=ocp.args.PyTreeSave(state, save_args=in_chunks), about=ocp.args.JsonSave(about)
            ),
            # A checkpoint from within an epoch has not been validated and must not be the best.
            metrics={self._best_by: checkpoint.metrics[self._best_by] if validated else -1.0},
        )
        wait_for_all(f"checkpoint {step} is written")
        if is_first():
            seal_all(self._folder(step), CHECKPOINT)
            self._empty_removed()
        wait_for_all(f"checkpoint {step} is sealed")

    def _folder(self, step: int) -> Path:
        return Path(self._manager.directory) / str(step)

    def _empty_removed(self) -> None:
        removed = Path(self._manager.directory) / REMOVED
        for folder in removed.glob("*"):
            remove_folder(folder)
        remove_folder(removed)

    def restore(self, step: int, like: TrainState) -> Checkpoint:
        """Reads a checkpoint into the shapes and devices of `like`.

        Raises:
            UserError: the checkpoint is another run's, or holds other leaves, shapes or types; the differences are
                listed.
        """
        self._wait()
        state = self._read(step, _kept(like))
        about = self._manager.restore(step, args=ocp.args.Composite(about=ocp.args.JsonRestore())).about
        if about["identity"] != self._identity:
            raise UserError(
                f"the checkpoint of step {step} in {self._manager.directory} is another run's (of another config, "
                "dataset or weights); use another --run_dir"
            )
        return Checkpoint(TrainState(**state), about["figures"])

    def restore_variables(self, step: int, like: TrainState) -> Variables:
        """Reads only what a prediction needs: with Adam, a third of what a restart needs.

        Raises:
            UserError: as for `restore`.
        """
        self._wait()
        if like.average:
            averaged: Variables = self._read(step, {"average": like.average})["average"]
            return averaged
        return self._read(step, {"params": like.params, "batch_stats": like.batch_stats})

    def _read(self, step: int, like: dict[str, Any]) -> dict[str, Any]:
        self._refuse_differences(step, like)
        shapes, tree = jax.tree.flatten(like)
        leaves: list[jax.Array] = []
        for group in _groups([shape.size * shape.dtype.itemsize for shape in shapes], int(IN_FLIGHT_GB * 10**9)):
            wanted = jax.tree.unflatten(tree, [s if i in group else ocp.PLACEHOLDER for i, s in enumerate(shapes)])
            args = ocp.args.PyTreeRestore(
                wanted, restore_args=ocp.checkpoint_utils.construct_restore_args(wanted), partial_restore=True
            )
            read = jax.tree.leaves(self._manager.restore(step, args=ocp.args.Composite(state=args)).state)
            # Copied, since on a CPU NumPy's memory cannot be donated to a step.
            leaves += jax.block_until_ready([jnp.copy(leaf) for leaf in read if leaf is not ocp.PLACEHOLDER])
            del read
            gc.collect()  # orbax leaves it in a reference cycle
        return jax.tree.unflatten(tree, leaves)

    def _refuse_differences(self, step: int, like: dict[str, Any]) -> None:
        # Orbax restores what fits and stays silent about the rest, so the trees are compared here.
        tree = self._manager.item_metadata(step).state.tree
        different = differences(_shapes({name: tree.get(name, {}) for name in like}), _shapes(like)).describe()
        if different:
            raise UserError(
                f"the checkpoint of step {step} in {self._manager.directory} does not fit this model ({different}); "
                "use another --run_dir"
            )


def _kept(state: TrainState) -> dict[str, Any]:
    """What is saved: all but an average that there is not, which runs of older releases have no place for."""
    return {name: value for name, value in state._asdict().items() if name != "average" or value}


def writes_beside() -> bool:
    """Whether checkpoints had better be written beside the next steps: where a device other than the CPU computes them,
    which else would wait. A CPU has neither cores nor memory for a copy to spare, and several processes write together.
    """
    return jax.default_backend() != "cpu" and jax.process_count() == 1


def remove_damaged(directory: Path) -> list[str]:
    """Removes each checkpoint that is not what was written, and all that came after it: they would be chosen from
    another history. Before the directory is opened, since orbax reads the checkpoints then.

    Args:
        directory: of a run's checkpoints; it need not exist.

    Returns:
        What was wrong, a phrase each.
    """
    faults: list[str] = []
    for step in _steps(directory):
        folder = directory / str(step)
        if is_ours(folder) and (fault := find_fault(folder, CHECKPOINT)):
            faults.append(fault)
        if faults and is_ours(folder):
            remove_folder(folder)
    return faults


def latest_step(directory: Path) -> int | None:
    """The newest checkpoint's step, from the names of the folders alone; None where there is none."""
    return max(_steps(directory), default=None)


def _steps(directory: Path) -> list[int]:
    return sorted(int(path.name) for path in directory.glob("*") if path.name.isdigit() and path.is_dir())


def _groups(sizes: list[int], limit: int) -> Iterator[range]:
    """Consecutive ranges of the indices whose sizes add up to at most `limit`, or that hold one index."""
    start, total = 0, 0
    for i, size in enumerate(sizes):
        if i > start and total + size > limit:
            yield range(start, i)
            start, total = i, 0
        total += size
    yield range(start, len(sizes))


def _shapes(tree: Any) -> dict[str, str]:
    leaves = jax.tree_util.tree_flatten_with_path(tree, is_leaf=lambda x: hasattr(x, "shape"))[0]
    return {_name(path): shape_text(leaf) for path, leaf in leaves if hasattr(leaf, "shape")}


def _name(path: tuple[Any, ...]) -> str:
    # A NamedTuple's field is an attribute in memory and a key on disk: both by their bare name.
    return "/".join(str(getattr(p, "key", getattr(p, "name", getattr(p, "idx", p)))) for p in path)
