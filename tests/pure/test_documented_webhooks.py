"""The programs in docs/webhooks.md that check a signature believe what we sign, and nothing else."""

import base64
import json
import re
import subprocess
import time
from pathlib import Path

from purvey.signing import headers

GUIDE = (Path(__file__).parents[2] / "docs" / "webhooks.md").read_text(encoding="utf-8")
SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()
BODY = '{"id":"evt_1","name":"Bücher"}'.encode()
NOW = int(time.time())


def program(language: str, *, after: str) -> str:
    """Return the guide's program in a language, the first one after these words."""
    found = re.search(rf"```{language}\n(.*?)```", GUIDE.partition(after)[2], re.DOTALL)
    assert found is not None, language
    return found[1]


def signed(secret: str = SECRET) -> dict[str, str]:
    made = headers(event_id="evt_1", event_type="order.paid", body=BODY, secrets=[secret], timestamp=NOW)
    return {name.lower(): value for name, value in made.items()}


def ran(*command: str, cwd: Path | None = None) -> str:
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=True).stdout.strip()


def test_the_one_for_node(tmp_path: Path) -> None:
    other = signed("whsec_" + base64.b64encode(b"another secret, as long").decode())
    tried = [(signed(), BODY), (other, BODY), (signed(), BODY + b" "), (signed() | {"webhook-timestamp": "1"}, BODY)]
    calls = "".join(
        f"say(() => verify(Buffer.from({json.dumps(body.decode())}), {json.dumps(sent)}, {json.dumps(SECRET)}).id);\n"
        for sent, body in tried
    )
    say = "function say(told) { try { console.log(told()); } catch (error) { console.log(error.message); } }\n"
    (tmp_path / "verify.js").write_text(program("js", after="Node,") + say + calls, encoding="utf-8")
    said = ran("node", str(tmp_path / "verify.js")).splitlines()
    assert said == ["evt_1", "no signature fits", "no signature fits", "too old"]


def test_the_one_for_the_shell(tmp_path: Path) -> None:
    (tmp_path / "body.json").write_bytes(BODY)
    given = f"secret='{SECRET}' id=evt_1 timestamp={NOW}\n"
    made = ran("sh", "-c", given + program("sh", after="Shell,"), cwd=tmp_path)
    assert f"v1,{made}" == signed()["webhook-signature"]
