"""Completion in a real shell, with what `purvey completion` prints."""

import os
import shutil
import sys
from pathlib import Path

import pytest

from running import purvey, run

PRESS_TAB = """
eval "$(purvey completion bash)"
complete -p purvey
press() {
    COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMPREPLY=()
    _purvey_completion purvey "${!#}" purvey
    echo "$*: ${COMPREPLY[*]}"
}
press purvey ser
press purvey serve --ro
press purvey accounts cre
press purvey nothing
"""

pytestmark = pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")


async def test_bash_completes_commands_and_options() -> None:
    programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    offered = await run("bash", "--norc", "-c", PRESS_TAB, settings={"PATH": programs})
    assert (offered.status, offered.errors) == (0, "")
    how, *answers = offered.output.splitlines()
    assert how.endswith("-F _purvey_completion purvey")
    assert answers == [
        "purvey ser: serve",
        "purvey serve --ro: --role",
        "purvey accounts cre: create",
        "purvey nothing: ",
    ]


async def test_the_other_shells_get_a_script_of_theirs() -> None:
    for shell, mark in (("zsh", "#compdef purvey"), ("fish", "complete --no-files --command purvey")):
        printed = await purvey("completion", shell)
        assert (printed.status, printed.errors) == (0, "")
        assert mark in printed.output
    refused = await purvey("completion", "tcsh")
    assert (refused.status, refused.output) == (2, "")
    assert "'bash', 'zsh', 'fish'" in refused.errors
