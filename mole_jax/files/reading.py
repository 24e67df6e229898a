"""JSON files of a known shape, read into typed records."""

from pathlib import Path
from typing import Any

import msgspec

from mole_jax.errors import UserError


def read_record(path: Path, kind: Any, *, remedy: str) -> Any:
    """Reads a JSON file and checks it against a type.

    Args:
        path: of the file.
        kind: a dataclass, or any other type that msgspec knows; a number too many or too few is an error, an unknown
            key is not.
        remedy: what the user can do if the file is missing or damaged.

    Raises:
        UserError: it is missing, cannot be read, is not JSON, or has another shape; says where.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except FileNotFoundError as error:
        raise UserError(f"there is no {path}; {remedy}") from error
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}); {remedy}") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is damaged ({' '.join(str(error).split())}); {remedy}") from error
