"""The file of the secret key: made once, however many processes find it missing at the same time."""

import subprocess
import sys
from pathlib import Path

SIGN = """
import sys
from pathlib import Path
from purvey.server import installation
from purvey.server.settings import Settings
settings = Settings(data_dir=Path(sys.argv[1]))
print("here", flush=True)
sys.stdin.readline()
print(installation.keyring(settings).sign("test", "message"))
"""


def test_processes_that_start_together_share_one_key(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    makers = [
        subprocess.Popen(
            [sys.executable, "-c", SIGN, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(4)
    ]
    for maker in makers:
        assert maker.stdout
        assert maker.stdout.readline() == "here\n"
    for maker in makers:
        assert maker.stdin
        maker.stdin.write("go\n")
        maker.stdin.flush()
    signatures = {maker.communicate(timeout=60)[0] for maker in makers}
    assert [maker.returncode for maker in makers] == [0, 0, 0, 0]
    assert len(signatures) == 1
    assert [path.name for path in folder.iterdir()] == ["secret-key"]
