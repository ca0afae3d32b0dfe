"""The command line in the process of the test."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner


class InProcess:
    """The command line in this process, which has torch already; one test starts the real one."""

    def __init__(self, folder, where):
        self.folder, self.where, self.data = folder, where, Path(where[3])

    def run(self, *arguments):
        from adaptrans_cli.main import app

        result = CliRunner().invoke(app, list(arguments))
        assert result.exit_code == 0, (arguments, result.output, result.exception)
        return result.stdout

    def json(self, *arguments):
        return json.loads(self.run(*arguments, "--json"))

    def refused(self, *arguments):
        from adaptrans.errors import AdaptransError
        from adaptrans_cli.main import app

        with pytest.raises(AdaptransError) as info:
            CliRunner().invoke(app, list(arguments), catch_exceptions=False)
        return str(info.value)
