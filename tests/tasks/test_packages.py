import sys

import pytest

from adaptrans.errors import ConfigError
from adaptrans.tasks import catalogue

TASK = "extends: copa\nname: {}\ntitle: {}\n"


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Put a package with task files on the path, with the metadata of an installed distribution."""

    def put(tasks, module="brought_tasks.tasks"):
        folder = tmp_path / "site"
        where = folder / "brought_tasks/tasks"
        where.mkdir(parents=True)
        (folder / "brought_tasks/__init__.py").write_text("raised = 1\n", encoding="utf-8")
        (where / "__init__.py").write_text("raise RuntimeError('imported')\n", encoding="utf-8")
        for name in tasks:
            (where / f"{name}.yaml").write_text(TASK.format(name, "Brought"), encoding="utf-8")
        metadata = folder / "brought_tasks-1.0.dist-info"
        metadata.mkdir()
        (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: brought-tasks\nVersion: 1.0\n")
        (metadata / "entry_points.txt").write_text(f"[adaptrans.tasks]\nmine = {module}\n")
        monkeypatch.syspath_prepend(str(folder))
        catalogue.packaged.cache_clear()

    yield put
    catalogue.packaged.cache_clear()
    for name in [name for name in sys.modules if name.startswith("brought_tasks")]:
        del sys.modules[name]


def test_an_installed_package_brings_tasks(install):
    install(["brought"])
    assert "brought" in catalogue.names()
    task = catalogue.get("brought")
    assert task.title == "Brought"
    assert task.split("train") == catalogue.get("copa").split("train")
    assert catalogue.get("brought") is task


def test_folders_still_come_first(install, tmp_path):
    install(["brought"])
    own = tmp_path / "own"
    own.mkdir()
    (own / "brought.yaml").write_text(TASK.format("brought", "Mine"), encoding="utf-8")
    assert catalogue.get("brought", [own]).title == "Mine"


def test_a_namesake_of_a_catalogue_task_stands_for_neither(install):
    install(["xnli", "brought"])
    with pytest.raises(ConfigError, match='"xnli" is a task of the catalogue and package brought-tasks'):
        catalogue.get("xnli")
    assert catalogue.get("brought").title == "Brought"


def test_a_package_that_is_not_there(install):
    install(["brought"], module="brought_tasks.none")
    with pytest.raises(
        ConfigError, match=r'package brought-tasks says its tasks are in "brought_tasks\.none"'
    ):
        catalogue.names()
