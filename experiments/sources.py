"""From --source to a folder: one of the user's, or one that is fetched from its publisher."""

from pathlib import Path

from mole_jax.data.download.official import OFFICIAL

# What --source accepts besides a folder.
FETCHED = (*OFFICIAL, "kaggle")


def downloads_folder(source: str, data_dir: Path) -> Path:
    """Where a fetched source lies; no dataset's name can begin with an underscore."""
    return data_dir / "_downloads" / source


def fetch_source(
    source: str, data_dir: Path, *, licence_accepted: bool, base: str | None = None, pause: float = 1.0
) -> Path:
    """Shows the licence and fetches a source, or verifies what has been fetched.

    Args:
        source: name of the source, one of FETCHED.
        data_dir: where prepared datasets lie.
        licence_accepted: whether the user has accepted the licence.
        base: address to fetch from instead of the publisher's; None: the publisher's.
        pause: seconds to wait before a download is tried again.

    Returns:
        The folder for `prepare`.

    Raises:
        UserError: the licence is not accepted; or the files cannot be fetched, for the reason that the message gives.
    """
    from mole_jax.data.download.kaggle import LICENCE, PAGE, TITLE, obtain_kaggle
    from mole_jax.data.download.obtain import count_images, obtain

    official = OFFICIAL.get(source)
    title, page, licence = (
        (official.title, official.page, official.licence) if official is not None else (TITLE, PAGE, LICENCE)
    )
    print(f"{title}\n  {page}\n  licence {licence.name}: {licence.terms}; {licence.url}\n  cite {licence.citation}")
    if Path(source).is_dir():
        print(f"  (not the folder {source!r} that is here: give --source=./{source} for it)")
    if official is None:
        return obtain_kaggle(licence_accepted=licence_accepted)
    folder = obtain(
        official, downloads_folder(source, data_dir), licence_accepted=licence_accepted, base=base, pause=pause
    )
    if (found := count_images(folder)) != official.images:
        print(f"  note: {found:,} images where the publisher states {official.images:,}")
    return folder
