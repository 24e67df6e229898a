import pytest


@pytest.fixture
def write(tmp_path):
    """write(text, name): a file of that text."""

    def write(text, name="test.csv"):
        path = tmp_path / name
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return path

    return write
