import pytest

from adaptrans.modeling.backbone import identify
from adaptrans.training import loop


@pytest.fixture(scope="session")
def base(tiny_backbone):
    """The tiny backbone, identified."""
    return identify(tiny_backbone)


class Killed(BaseException):
    """Stands for the end of the process."""


@pytest.fixture
def kill(monkeypatch):
    """`kill(run, 3)`: call `run`, which ends with the process after step 3."""

    def go(run, last):
        original = loop._Training.one_step

        def until(self, *arguments):
            if self.place.step == last:
                raise Killed
            original(self, *arguments)

        with monkeypatch.context() as patched:
            patched.setattr(loop._Training, "one_step", until)
            with pytest.raises(Killed):
                run()

    return go


@pytest.fixture
def elsewhere(planner, tmp_path):
    """A workspace like the planner's with an empty store of its own."""
    from dataclasses import replace

    where = planner.workspace
    return replace(where, store=replace(where.store, root=tmp_path / "elsewhere"))


@pytest.fixture
def same_weights():
    """`same_weights(one, other)`: artifacts of two runs are equal to the last bit; returns how many files."""

    def check(one, other):
        files = list(one.artifact.rglob("*.safetensors"))
        for path in files:
            twin = other.artifact / path.relative_to(one.artifact)
            assert path.read_bytes() == twin.read_bytes(), path.name
        return len(files)

    return check
