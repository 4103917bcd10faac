"""Schemathesis against a running shop: requests made up from its OpenAPI document, and what was wrong with the answers."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import schemathesis
from schemathesis.engine import events, from_schema

from judge import complaints

OURS = "tells_what_is_wrong"
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
    "response_headers_conformance",
    "negative_data_rejection",
    "ignored_auth",
    "missing_required_header",
    "unsupported_method",
    "use_after_free",
    "ensure_resource_availability",
    OURS,
)
"""Not `positive_data_acceptance`: what two fields say of each other is in no schema."""


@schemathesis.check
def tells_what_is_wrong(
    _: schemathesis.CheckContext, response: schemathesis.Response, __: schemathesis.Case[Any]
) -> None:
    """Every error is a problem that names the field at fault, and every answer has its ids."""
    headers = {name.lower(): values[0] for name, values in response.headers.items()}
    head = response.request.method == "HEAD"
    found = complaints(response.status_code, headers, response.content, head=head)
    assert found == [], f"{found}: {response.content[:300]!r}"


@dataclass
class Findings:
    """What a run has found: how many requests of each phase were answered with which status, and every complaint once."""

    statuses: Counter[int] = field(default_factory=Counter)
    operations: set[str] = field(default_factory=set)
    complaints: dict[str, str] = field(default_factory=dict)


def fuzz(
    url: str,
    key: str | None,
    *,
    phases: Sequence[str],
    examples: int,
    seconds: int | None = None,
    seed: int = 1,
    without: Sequence[str] = (),
) -> Findings:
    """Run the `phases` (coverage, fuzzing, stateful) with `examples` of each operation, drawn by `seed`.

    Without `seconds` every run is the same one; with them a phase ends when they are over. The operations named in `without`,
    such as "PUT /v1/listings/{listing_id}", are left alone.
    """
    told: dict[str, Any] = {
        "seed": seed,
        "generation": {"max-examples": examples, "deterministic": seconds is None, "database": "none"},
        "phases": {name: {"enabled": name in phases} for name in ("examples", "coverage", "fuzzing", "stateful")},
        "checks": {"enabled": False} | {name: {"enabled": True} for name in CHECKS},
        "continue-on-failure": True,
        "request-timeout": 20,
        "headers": {"Authorization": f"Bearer {key}"} if key else {},
    }
    config = schemathesis.Config.from_dict(told)
    if seconds is not None:
        config.projects.default.max_time = seconds
    schema = schemathesis.openapi.from_url(f"{url}/openapi.json", config=config)
    findings = Findings()
    for event in from_schema(schema.exclude(name=list(without)) if without else schema).execute():
        _note(event, findings)
    return findings


def _note(event: events.EngineEvent, findings: Findings) -> None:
    if isinstance(event, events.NonFatalError | events.FatalError):
        findings.complaints[f"{event}"] = "the run itself failed"
    if not isinstance(event, events.ScenarioFinished):
        return
    for interaction in event.recorder.interactions.values():
        if interaction.response is not None:
            findings.statuses[interaction.response.status_code] += 1
    for case_id, checks in event.recorder.checks.items():
        label = event.recorder.cases[case_id].value.operation.label
        findings.operations.add(label)
        for one in checks:
            if one.failure_info is not None:
                failure = one.failure_info.failure
                shown = f"{failure.message}\n{one.failure_info.code_sample}"
                findings.complaints.setdefault(f"{label}: {one.name}: {failure.title}", shown)
