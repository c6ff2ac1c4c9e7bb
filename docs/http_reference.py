"""The reference of the HTTP interface, from the server's own OpenAPI document."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

Json = dict[str, Any]


def http_reference() -> str:
    """A table of all routes, and for each what it takes and answers, by example."""
    document = _document()
    routes = list(_routes(document))
    lines = ["| | | |", "|---|---|---|"]
    lines += [f"| `{method}` | [`{path}`](#{_anchor(method, path)}) | {_first(operation)} |"
              for method, path, operation in routes]
    for method, path, operation in routes:
        lines += ["", f"({_anchor(method, path)})=", f"### {method} {path}", "", operation.get("description", ""), ""]
        lines += _parameters(operation)
        lines += _body(operation, document)
        lines += _answers(operation, document)
    return "\n".join(lines) + "\n"


def scopes_reference() -> str:
    """What a token of each scope may do: in words, and route by route."""
    from engram.server.scopes import MEANINGS

    names = list(MEANINGS)
    lines = ["| scope | |", "|---|---|", *(f"| `{name}` | {MEANINGS[name]} |" for name in names), ""]
    lines += ["| | " + " | ".join(f"`{name}`" for name in names) + " |", "|---" * (len(names) + 1) + "|"]
    for method, path, operation in _routes(_document()):
        cells = operation.get("x-scopes", dict.fromkeys(names, "open to all"))
        lines.append(f"| [`{method} {path}`](#{_anchor(method, path)}) | "
                     + " | ".join(cells.get(name, "") for name in names) + " |")
    return "\n".join(lines) + "\n"


def _document() -> Json:
    from engram.server.app import create_app
    from engram.server.settings import Settings

    document: Json = create_app({}, Settings(folder=Path("."))).api.openapi()
    return document


def _routes(document: Json) -> Iterator[tuple[str, str, Json]]:
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            yield method.upper(), path, operation


def _anchor(method: str, path: str) -> str:
    words = "".join(letter if letter.isalnum() else " " for letter in f"{method} {path}").lower().split()
    return "-".join(["http", *words])


def _first(operation: Json) -> str:
    return str(operation.get("description", operation["summary"])).split("\n")[0]


def _parameters(operation: Json) -> list[str]:
    found = [one for one in operation.get("parameters", []) if one["in"] in ("query", "header")]
    lines = [f"- `{one['name']}` ({one['in']}): {one.get('description', '')}" for one in found]
    return [*lines, ""] if lines else []


def _body(operation: Json, document: Json) -> list[str]:
    content: Json = operation.get("requestBody", {}).get("content", {})
    if not content:
        return []
    kinds = ", ".join(f"`{kind}`" for kind in content)
    return [f"Takes {kinds}.", "", *_example(content.get("application/json"), document)]


def _answers(operation: Json, document: Json) -> list[str]:
    lines: list[str] = []
    for status, response in operation["responses"].items():
        if status < "300":
            content: Json = response.get("content", {})
            kinds = ", ".join(f"`{kind}`" for kind in content) or "nothing more"
            lines += [f"Answers {status}: {kinds}.", "", *_example(content.get("application/json"), document)]
    refusals = ", ".join(status for status in operation["responses"] if status >= "400")
    return [*lines, f"Refusals: {refusals}."]


def _example(content: Json | None, document: Json) -> list[str]:
    found = _found(content, document)
    return [] if found is None else ["```json", json.dumps(found, indent=1, ensure_ascii=False), "```", ""]


def _found(content: Json | None, document: Json) -> Any:
    """The example of a content, its own or that of the model it names."""
    if content is None:
        return None
    if "example" in content:
        return content["example"]
    for named in content.get("examples", {}).values():
        return named["value"]
    schema = content.get("schema", {})
    if "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].split("/")[-1]]
    examples = schema.get("examples") or [schema["example"]] if "example" in schema else schema.get("examples")
    return examples[0] if examples else None
