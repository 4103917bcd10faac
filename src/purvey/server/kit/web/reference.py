"""The pages under /docs: the API's reference and the list of errors, made from the code, with nothing loaded from elsewhere."""

from collections.abc import Iterator
from html import escape
from http import HTTPStatus
from typing import Any

from purvey.server.kit.problem import ProblemError

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title><style>
:root {{ color-scheme: light dark; font: 16px/1.55 system-ui, sans-serif }}
body {{ max-width: 54rem; margin: 2rem auto; padding: 0 1rem }}
code, pre {{ font: 0.9em ui-monospace, monospace }}
section {{ border-top: 1px solid #8886; padding: 0.75rem 0 }}
h2 {{ font-size: 1.1rem; margin: 0.25rem 0 }}
table {{ border-collapse: collapse; width: 100% }}
td, th {{ text-align: left; vertical-align: top; padding: 0.2rem 0.75rem 0.2rem 0; overflow-wrap: anywhere }}
.status {{ opacity: 0.7 }}
</style></head><body><h1>{title}</h1>{body}</body></html>"""


def errors_page() -> str:
    """Return the page that each problem's `type` points into, from the docstrings of the error classes."""
    rows = "".join(
        f'<section id="{error.code.replace("_", "-")}"><h2><code>{escape(error.code)}</code> '
        f'<span class="status">{error.status} {escape(HTTPStatus(error.status).phrase)}</span></h2>'
        f"<p>{escape(error.__doc__ or '')}</p></section>"
        for error in sorted(_errors(ProblemError), key=lambda error: (error.status, error.code))
    )
    intro = "<p>Errors are problem details (RFC 9457). Programs branch on <code>code</code>; people read <code>detail</code>.</p>"
    return _PAGE.format(title="Errors", body=intro + rows)


def reference_page(document: dict[str, Any]) -> str:
    """Return the reference of every operation in an OpenAPI `document`, and of every schema."""
    info = document["info"]
    head = f'<p>{escape(info["description"])}</p><p><a href="/openapi.json">OpenAPI</a> · <a href="/docs/errors">Errors</a></p>'
    operations = "".join(
        _operation(method, path, operation)
        for path, methods in sorted(document["paths"].items())
        for method, operation in methods.items()
        if isinstance(operation, dict)
    )
    schemas = document["components"].get("schemas", {})
    shapes = "".join(_shape(name, schema) for name, schema in sorted(schemas.items()))
    return _PAGE.format(title=f"{escape(info['title'])} {escape(info['version'])}", body=head + operations + shapes)


def _errors(root: type[ProblemError]) -> Iterator[type[ProblemError]]:
    seen: set[str] = set()
    waiting = root.__subclasses__()
    while waiting:
        error = waiting.pop()
        waiting += error.__subclasses__()
        if error.code not in seen:
            seen.add(error.code)
            yield error


def _operation(method: str, path: str, operation: dict[str, Any]) -> str:
    parameters = "".join(_parameter(parameter) for parameter in operation.get("parameters", []))
    bodies = (operation.get("requestBody") or {}).get("content", {})
    body = "".join(f"<p>Body: {_type(content.get('schema', {}))}</p>" for content in bodies.values())
    answers = "".join(
        f"<tr><td>{status}</td><td>{escape(answer['description'])}</td><td>{_answer_type(answer)}</td></tr>"
        for status, answer in sorted(operation["responses"].items())
    )
    what = escape(operation.get("description") or operation.get("summary") or "")
    return (
        f'<section id="{escape(operation.get("operationId", ""))}"><h2><code>{method.upper()} {escape(path)}</code></h2>'
        f"<p>{what}</p><table>{parameters}</table>{body}<table>{answers}</table></section>"
    )


def _parameter(parameter: dict[str, Any]) -> str:
    where = f"{parameter['in']}{', required' if parameter.get('required') else ''}"
    what = escape(parameter.get("description") or "")
    schema = _type(parameter.get("schema", {}))
    return f"<tr><td><code>{escape(parameter['name'])}</code></td><td>{where}</td><td>{schema}</td><td>{what}</td></tr>"


def _answer_type(answer: dict[str, Any]) -> str:
    return ", ".join(_type(content.get("schema", {})) for content in answer.get("content", {}).values())


def _shape(name: str, schema: dict[str, Any]) -> str:
    required = set(schema.get("required", []))
    rows = "".join(
        f"<tr><td><code>{escape(field)}</code>{' *' if field in required else ''}</td><td>{_type(kind)}</td>"
        f"<td>{escape(kind.get('description', ''))}</td></tr>"
        for field, kind in schema.get("properties", {}).items()
    )
    what = escape(schema.get("description", ""))
    return f'<section id="schema-{escape(name)}"><h2>{escape(name)}</h2><p>{what}</p><table>{rows}</table></section>'


def _type(schema: dict[str, Any]) -> str:
    if reference := schema.get("$ref"):
        name = escape(reference.rsplit("/", 1)[-1])
        return f'<a href="#schema-{name}">{name}</a>'
    if choices := schema.get("oneOf") or schema.get("anyOf"):
        return " | ".join(_type(choice) for choice in choices)
    if "enum" in schema:
        return " | ".join(f"<code>{escape(str(value))}</code>" for value in schema["enum"])
    if schema.get("type") == "array":
        return f"list of {_type(schema.get('items', {}))}"
    kind = schema.get("type", "any")
    return escape(" | ".join(kind) if isinstance(kind, list) else str(kind))
