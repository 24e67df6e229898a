"""Scores photographs with a trained run: no label, no dataset, no GPU and no network connection needed.

    python -m experiments.predict --run=runs/NAME --images=photo.jpg
    python -m experiments.predict --run=runs/A,runs/B --images=FOLDER --out=predictions.csv
    python -m experiments.predict --run=runs/NAME --images=photo.jpg --explain=sheets

Columns: score, what the model gives; calibrated, the risk among images like the run's validation images; risk, the same
where --prevalence is the share of melanomas; call, at the threshold that was frozen for 95 % sensitivity on validation.
Several runs give the mean of their logits, each one's own score beside it. Exit status 4: some files could not
be scored, and the table says why. --explain writes a sheet of maps for each photograph, each method with the verdict
that experiments.explain, which is to be run first, has found for this run.
"""

import glob
import math
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from absl import flags

from experiments import cli
from experiments.photographs import warn_of_photographs
from mole_jax import xla
from mole_jax.errors import UserError

if TYPE_CHECKING:
    from mole_jax.classifier.classifier import Classifier
    from mole_jax.studies.predict import Ensemble, Scored

FLAGS = flags.FLAGS
SHOWN = 50  # files in the table on the screen
NOT_ALL = 4
COLUMNS = ("image", "score", "calibrated", "risk", "prevalence", "call", "threshold", "reason")


def command() -> int:
    """Scores the files; prints the table, writes the CSV."""
    run_dirs, out = _run_dirs(FLAGS.run), Path(FLAGS.out).expanduser() if FLAGS.out else None
    prevalence = FLAGS.prevalence
    if prevalence is not None and not 0 < prevalence < 1:
        raise UserError(f"--prevalence={prevalence} is not between 0 and 1; give a share such as 0.02")
    if not FLAGS.images:
        raise UserError("give --images=PATH: photographs, a folder of them, or a pattern such as 'photos/*.jpg'")
    xla.configure()
    from tqdm import tqdm

    from mole_jax.classifier.storage import open_run
    from mole_jax.runs.members import members_of
    from mole_jax.studies.predict import as_ensemble, find_images, score_photographs

    paths = find_images(FLAGS.images)
    if out is None and len(paths) > SHOWN:
        raise UserError(f"{len(paths):,} images do not fit on the screen; give --out=predictions.csv")
    if out is not None:
        _refuse_foreign(out)
    members = [(run_dir, member) for run_dir in run_dirs for member in members_of(run_dir)]
    sheets = _sheets_folder([member for _, member in members])
    ensemble = as_ensemble([open_run(member) for _, member in members], [member for _, member in members])
    names = [member.resolve().relative_to(run_dir.resolve().parent).as_posix() for run_dir, member in members]
    for line in _about(ensemble, names, prevalence):
        print(line, flush=True)
    failed: list[Scored] = []
    shown: list[Scored] = []
    said: dict[Path, str] = {}  # of each photograph that is explained
    with tqdm(total=len(paths), unit=" images", disable=None if len(paths) > 1 else True) as bar:
        scored = score_photographs(
            ensemble, paths, prevalence=prevalence, on_progress=lambda more: bar.update(more) and None
        )
        if sheets is not None:
            scored = _said(scored, said, ensemble)
        if out is None:
            shown = list(scored)
            failed = [each for each in shown if each.reason]
        else:
            _write(out, _kept(scored, shown, failed), ensemble, names, prevalence)
    print(_table(shown, ensemble, names))
    if len(paths) > len(shown):
        print(f"... and {len(paths) - len(shown):,} more")
    print(f"{len(paths) - len(failed):,} of {len(paths):,} images scored" + (f"; all of them in {out}" if out else ""))
    if sheets is not None and said:
        _explain(ensemble.members[0], members[0][1], said, sheets)
    print(cli.NOT_A_DEVICE)
    if failed:
        first = failed[0]
        print(f"{len(failed):,} could not be scored, the first: {first.path}: {first.reason}", file=sys.stderr)
        return NOT_ALL
    return 0


def _run_dirs(given: list[str]) -> list[Path]:
    if not given:
        raise UserError("give --run=runs/NAME, the directory of a finished run, or several for their ensemble")
    found: list[Path] = []
    for text in given:
        path = Path(text).expanduser()
        matched = [Path(name) for name in sorted(glob.glob(str(path)))] if glob.has_magic(text) else [path]  # noqa: PTH207, a pattern may be absolute
        if not matched:
            raise UserError(f"--run={text} matches no directory")
        found += [each for each in matched if each not in found]
    return found


def _refuse_foreign(out: Path) -> None:
    """Raises UserError where `out` is a file that this command did not write: such a file is never replaced."""
    if out.is_dir():
        raise UserError(f"--out={out} is a folder; give a file, such as {out / 'predictions.csv'}")
    if not out.parent.is_dir():
        raise UserError(f"--out={out}: there is no folder {out.parent}; make it first")
    if out.exists():
        with out.open(encoding="utf-8", errors="replace") as file:
            if not file.readline().startswith(",".join(COLUMNS[:4])):
                raise UserError(f"--out={out} is there and was not written by this command; give another name")


def _sheets_folder(run_dirs: Sequence[Path]) -> Path | None:
    """Where --explain's sheets go; None where none are asked for.

    Raises:
        UserError: several runs are given, or the folder holds what is not ours.
    """
    if not FLAGS.explain:
        return None
    if len(run_dirs) > 1:
        raise UserError(
            f"--explain is for one run of one seed, and --run names {len(run_dirs)}: maps are tested run by run; give "
            f"one, such as --run={run_dirs[0]}"
        )
    from mole_jax.studies.explain_photographs import refuse_foreign_sheets

    folder = Path(FLAGS.explain).expanduser()
    refuse_foreign_sheets(folder)
    return folder


def _said(scored: Iterator["Scored"], said: dict[Path, str], ensemble: "Ensemble") -> Iterator["Scored"]:
    """Passes all on, and keeps what the sheets say of those that were scored."""
    for each in scored:
        if not each.reason:
            call = "" if each.melanoma is None else f", called {_call(each, ensemble)}"
            risk = "" if math.isnan(each.risk) else f", risk {_number(each.risk)}"
            said[each.path] = f"score {_number(each.score)}{risk}{call}"
        yield each


def _explain(classifier: "Classifier", run_dir: Path, said: dict[Path, str], folder: Path) -> None:
    from tqdm import tqdm

    from mole_jax.runs.explanation import read_saliency
    from mole_jax.studies.explain_photographs import explain_photographs

    if read_saliency(run_dir) is None:
        print(
            f"note: no map of {run_dir.resolve().name} was tested yet, so none can be believed; python -m "
            f"experiments.explain --run={run_dir} tests them"
        )
    with tqdm(total=len(said), unit=" sheets", disable=None) as bar:
        sheets = explain_photographs(
            classifier,
            run_dir,
            said,
            folder,
            notes=[cli.NOT_A_DEVICE],
            on_progress=lambda more: bar.update(more) and None,
        )
    warn_of_photographs(sheets[0])
    print(f"maps in {sheets[0]}" + (f" and {len(sheets) - 1:,} more beside it" if len(sheets) > 1 else ""))


def _about(ensemble: "Ensemble", names: Sequence[str], prevalence: float | None) -> Iterator[str]:
    first: Classifier = ensemble.members[0]
    several = f"the mean of {len(names)} runs: {', '.join(names)}" if len(names) > 1 else names[0]
    models = ", ".join(dict.fromkeys(member.config.model for member in ensemble.members))
    yield f"{several}; {models}, trained on {first.origin.dataset}"
    for member, name in zip(ensemble.members, names, strict=True):
        if member.origin.leaky:
            yield f"note: {name} was trained on a LEAKY protocol ({member.origin.leak}): expect its calls to fail"
        if member.origin.layout == "synthetic":
            yield f"note: {name} was trained on drawn lesions, not on photographs: good for trying things out"
    decision = ensemble.decision
    if decision is None:
        yield f"note: no threshold and no risk: {ensemble.why_no_decision}"
        return
    if decision.platt is None:
        yield f"note: no risk, since validation allowed no calibration: {decision.why_uncalibrated}"
    else:
        shown = decision.prevalence if prevalence is None else prevalence
        own = " (the training images' own; --prevalence=SHARE for another)" if prevalence is None else ""
        yield f"risk is at a prevalence of {shown:.3g}{own}"
    point = decision.point()
    if point.threshold is None:
        yield f"note: no call: {point.reason}"
    else:
        new = (
            "" if point.expected is None else f"; on new lesions about {point.expected:.3g} of the melanomas on average"
        )
        yield f"call is at the threshold {_number(point.threshold)}: {point.rule} on validation{new}"


def _kept(scored: Iterator["Scored"], shown: list["Scored"], failed: list["Scored"]) -> Iterator["Scored"]:
    """Passes all on, and keeps the first ones for the screen and those that failed."""
    for each in scored:
        if len(shown) < SHOWN:
            shown.append(each)
        if each.reason:
            failed.append(each)
        yield each


def _write(
    out: Path, scored: Iterator["Scored"], ensemble: "Ensemble", names: Sequence[str], prevalence: float | None
) -> None:
    from mole_jax.files.csv_table import write_rows

    decision = ensemble.decision
    at = None if decision is None else decision.prevalence if prevalence is None else prevalence
    threshold = None if decision is None else decision.point().threshold
    several = [f"score_{name}" for name in names] if len(names) > 1 else []

    def row(each: "Scored") -> list[Any]:
        call = None if each.melanoma is None else _call(each, ensemble)
        numbers = [None if math.isnan(value) else value for value in (each.score, each.calibrated, each.risk)]
        members = (each.members or (None,) * len(names)) if several else ()
        path = os.fsencode(each.path).decode("utf-8", "backslashreplace")
        return [path, *numbers, at, call, threshold, each.reason, *members, cli.NOT_A_DEVICE]

    write_rows(out, [*COLUMNS, *several, "notice"], map(row, scored))


def _table(shown: Sequence["Scored"], ensemble: "Ensemble", names: Sequence[str]) -> str:
    several = list(names) if len(names) > 1 else []
    heads = ["image", "score", "calibrated", "risk", "call", *several]
    rows = [heads]
    for each in shown:
        name = os.fsencode(each.path).decode("utf-8", "backslashreplace")
        name = "".join(c if c.isprintable() else "?" for c in name)
        if each.reason:
            rows.append([name, f"not scored: {each.reason}"])
            continue
        call = "–" if each.melanoma is None else _call(each, ensemble)
        values = [_number(value) for value in (each.score, each.calibrated, each.risk)]
        rows.append([name, *values, call, *map(_number, each.members if several else ())])
    full = [row for row in rows if len(row) == len(heads)]
    widths = [max(len(row[i]) for row in (rows if i == 0 else full)) for i in range(len(heads))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=False)).rstrip() for row in rows
    )


def _call(each: "Scored", ensemble: "Ensemble") -> str:
    return ensemble.members[0].class_names[bool(each.melanoma)]


def _number(value: float) -> str:
    """A number with three digits, even a small one."""
    return "–" if math.isnan(value) else f"{value:.3f}" if value >= 0.0995 or value == 0 else f"{value:.3g}"


def define_flags() -> None:
    """Defines this command's flags."""
    flags.DEFINE_list("run", [], "directories of finished runs, or a pattern; several give their ensemble")
    flags.DEFINE_list("images", [], "files, folders or patterns, separated by commas")
    flags.DEFINE_string("out", None, "CSV file to write; needed above 50 images")
    flags.DEFINE_string("explain", None, "folder for a sheet of maps of each photograph; seconds to minutes for each")
    flags.DEFINE_float(
        "prevalence", None, "the share of melanomas that `risk` means, between 0 and 1 (default: the training images')"
    )


if __name__ == "__main__":
    define_flags()
    cli.main(command, description=__doc__ or "")
