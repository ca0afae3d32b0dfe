import re
from pathlib import Path

import pytest

from adaptrans.utils.environment import OTHER_PACKAGES, PACKAGES, environment, package_versions


def test_all_dependencies_are_looked_at():
    tomllib = pytest.importorskip("tomllib", reason="needs Python 3.11")
    text = (Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8")
    declared = tomllib.loads(text)["project"]["dependencies"]
    names = {re.match(r"[\w-]+", requirement).group() for requirement in declared}
    assert {*PACKAGES, *OTHER_PACKAGES} == names | {"adaptrans"}


def test_a_missing_package_has_no_version():
    found = package_versions(["torch", "no-such-package"])
    assert found["torch"]
    assert found["no-such-package"] is None


def test_an_environment_names_its_device():
    found = environment("cpu", "fp32")
    assert (found["device"], found["device_name"], found["precision"]) == ("cpu", "cpu", "fp32")
    assert set(found["packages"]) == set(PACKAGES)
