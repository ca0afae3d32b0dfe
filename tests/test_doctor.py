"""The doctor looks at everything, whatever is missing."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from adaptrans.doctor import examine
from adaptrans.utils import io

WITHOUT = """
import json, sys
from dataclasses import asdict
from pathlib import Path
sys.modules[sys.argv[1]] = None
from adaptrans.doctor import examine
print(json.dumps([asdict(finding) for finding in examine(Path("none"), Path("samples"), sys.argv[2])]))
"""


@pytest.fixture
def offline(monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)


def by_subject(findings):
    return {finding.subject: finding for finding in findings}


def test_all_is_well(offline, tmp_path, small_data, tiny_backbone):
    (tmp_path / "runs").mkdir()
    found = by_subject(examine(tmp_path, small_data, str(tiny_backbone)))
    assert {found[name].level for name in ("torch", "tensorboard", "pyyaml", "cpu", "backbone")} == {"ok"}
    assert found["file hashes"].found.startswith(str(io.cache_folder()))
    assert "test 2" in found["data: tatoeba"].found
    assert str(tmp_path / "runs") in found["store"].found


def test_the_sample_suite_is_looked_at_with_its_own_tasks(offline, tmp_path):
    found = by_subject(examine(tmp_path / "none", Path("samples"), None))
    assert found["data: sample_nli"].level == "ok"
    assert "test 9" in found["data: sample_nli"].found


def test_own_tasks_are_looked_at(offline, tmp_path, small_data):
    (tmp_path / "mine.yaml").write_text("name: mine\nextends: tatoeba\n")
    assert "data: mine" in by_subject(examine(tmp_path, small_data, None, [tmp_path]))
    (tmp_path / "mine.yaml").write_text("name: mine\nextends: tatoebo\n")
    found = by_subject(examine(tmp_path, small_data, None, [tmp_path]))
    assert found["data"].level == "missing"
    assert "tatoeb" in found["data"].found + found["data"].remedy


def test_what_is_not_there_is_missing(offline, tmp_path):
    found = by_subject(examine(tmp_path / "none", tmp_path / "nowhere", "./nowhere"))
    assert {found[name].level for name in ("data", "backbone")} == {"missing"}
    assert found["store"].level == "note"


@pytest.mark.parametrize(
    ("package", "subject"),
    [("torch", "devices"), ("huggingface_hub", "hub"), ("pydantic", "data"), ("yaml", "data")],
)
def test_a_missing_package_stops_no_other_look(package, subject, tiny_backbone):
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT, package, str(tiny_backbone)],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "HF_HUB_OFFLINE": "1", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    found = {finding["subject"]: finding for finding in json.loads(done.stdout.splitlines()[-1])}
    assert found[subject]["level"] == "missing"
    assert package in found[subject]["found"]
    assert {"typer", "store", "file hashes"} <= set(found)
    # The list of known encoders is YAML, checked by pydantic.
    stopped = package in ("pydantic", "yaml")
    assert found["backbone"]["level"] == ("missing" if stopped else "ok")
    assert (package in found["backbone"]["found"]) == stopped
    if package != "torch":
        assert found["cpu"]["level"] == "ok"


def test_a_folder_that_cannot_be_read_is_a_finding(offline, tmp_path, monkeypatch):
    from adaptrans import doctor

    def refused(folder):
        raise PermissionError(13, "Permission denied", str(folder))

    monkeypatch.setattr(doctor, "_size", refused)
    found = by_subject(examine(tmp_path, None, None))
    assert found["store"].level == "missing"
    assert "Permission denied" in found["store"].found
    assert "backbone" in found


@pytest.mark.parametrize(
    ("versions", "level", "said"),
    [
        ({"transformers": "4.57.6", "kernels": None}, "ok", "kernels is not installed"),
        (
            {"transformers": "4.57.6", "kernels": "0.9.0"},
            "note",
            "kernels 0.9.0 is installed; transformers",
        ),
        ({"transformers": "5.3.0", "kernels": "0.9.0"}, None, ""),
        ({"transformers": None, "kernels": None}, None, ""),
    ],
)
def test_advisories_are_told_where_they_matter(offline, monkeypatch, tmp_path, versions, level, said):
    from adaptrans import doctor

    monkeypatch.setattr(
        doctor, "package_versions", lambda names: {name: versions.get(name, "1") for name in names}
    )
    found = by_subject(examine(tmp_path / "none", None, None)).get("CVE-2026-4372")
    assert (found.level if found else None) == level
    if found:
        assert said in found.found
        assert "5.3.0" in found.found
        assert ("pip uninstall kernels" in found.remedy) == (level == "note")


def test_an_attention_without_effect_is_a_note(offline, tmp_path, backbone_maker):
    folder = backbone_maker(tmp_path / "base", depth=1)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "_attn_implementation": "eager"}))
    found = by_subject(examine(tmp_path / "none", None, str(folder)))
    assert (found["attention"].level, found["backbone"].level) == ("note", "ok")
    assert "_attn_implementation 'eager', which has no effect" in found["attention"].found
