"""The paper's own image set, from Kaggle, which requires its own client and an account."""

import importlib
from pathlib import Path
from typing import Final

from mole_jax.data.download.official import HAM10000_LICENCE, Licence, require_licence
from mole_jax.errors import UserError

DATASET: Final = "drscarlat/melanoma"
PAGE: Final = f"https://www.kaggle.com/datasets/{DATASET}"
TITLE: Final = f"the paper's image set, Kaggle {DATASET} (HAM10000, with augmented melanomas)"
# Its images are HAM10000's, so HAM10000's licence holds whatever its page says.
LICENCE: Final[Licence] = HAM10000_LICENCE


def obtain_kaggle(*, licence_accepted: bool) -> Path:
    """Gives the folder that kagglehub has downloaded the paper's image set into.

    Raises:
        UserError: the licence is not accepted, kagglehub is not installed, or it fails.
    """
    require_licence(TITLE, LICENCE, accepted=licence_accepted)
    by_hand = f"download it in a browser from {PAGE} and give --source=DIR"
    try:
        kagglehub = importlib.import_module("kagglehub")
    except ImportError as error:
        raise UserError(
            f"--source=kaggle needs the package kagglehub: pip install 'mole-jax[kaggle]', or {by_hand}"
        ) from error
    try:
        return Path(kagglehub.dataset_download(DATASET))
    except Exception as error:  # its client raises its own, requests' and the file system's
        raise UserError(f"kagglehub could not fetch {DATASET} ({type(error).__name__}: {error}); {by_hand}") from error
