"""What the page reads from runs."""

import json

from adaptrans.report.content import _curve
from adaptrans.runs.store import Run
from adaptrans.utils.io import write_json


def test_a_language_adapter_has_a_curve_though_it_has_no_task(tmp_path):
    write_json(tmp_path / "config.json", {"phase": "language", "language": "sw", "method": "seq_bn_inv"})
    (tmp_path / "log.jsonl").write_text(json.dumps({"step": 10, "loss": 2.5}) + "\n")
    found = _curve(Run("language", "sw.seq_bn_inv.s1", "0123456789ab", tmp_path))
    assert (found.task, found.setup, found.loss) == ("sw", "seq_bn_inv", ((10, 2.5),))
