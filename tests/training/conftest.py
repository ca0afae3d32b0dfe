import pytest

from adaptrans.models.backbone import identify


@pytest.fixture(scope="session")
def base(tiny_backbone):
    """The tiny backbone, identified."""
    return identify(tiny_backbone)
