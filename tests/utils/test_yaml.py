"""The language code `no` is Norwegian wherever YAML is read."""

import re
from pathlib import Path

from adaptrans.utils.yaml import load_yaml, plain_value

ROOT = Path(__file__).parents[2]


def test_no_is_a_language_in_files_and_on_the_command_line(tmp_path):
    (tmp_path / "a.yaml").write_text("languages: [no, en]\nno: {on: yes}\nlabeled: true\n")
    values, lines = load_yaml(tmp_path / "a.yaml")
    assert values == {"languages": ["no", "en"], "no": {"on": "yes"}, "labeled": True}
    assert lines["no", "on"] == 2
    assert plain_value("no") == "no"


def test_all_yaml_is_read_by_this_one_reader():
    found = {
        str(path.relative_to(ROOT))
        for folder in ("adaptrans", "cli", "tools")
        for path in (ROOT / folder).rglob("*.py")
        if re.search(r"yaml\.(safe_|full_|unsafe_)?load(_all)?\(", path.read_text(encoding="utf-8"))
    }
    assert found == set()
