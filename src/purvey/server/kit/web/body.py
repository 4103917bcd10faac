"""Request bodies: JSON straight into a typed struct, once, and an answer that names each field at fault.

A body is read as JSON whatever its Content-Type says, because `curl -d` sends JSON as a form. A JSON Content-Type with an
empty body is no body.
"""

from collections.abc import Generator
from functools import lru_cache
from typing import Any, ClassVar

import msgspec
from litestar.dto import AbstractDTO, DTOFieldDefinition
from litestar.openapi.spec import Reference, Schema
from litestar.typing import FieldDefinition

from purvey.server.kit.problem import FieldError, ValidationError, invalid
from purvey.server.kit.web import odd_text
from purvey.server.kit.web.faults import faults

MIB = 1024 * 1024
BODY_LIMIT = MIB
"""Bytes that a request body may have unless its route says otherwise."""


class Body(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """What a request body is derived from: an unknown field is an error that names the nearest known one."""


def decode(raw: bytes, type_: Any) -> Any:
    """Return the JSON document `raw` as a `type_`, or raise ValidationError with every fault found."""
    try:
        value = _decoder(type_).decode(raw)
    except (ValueError, RecursionError) as error:
        raise _explain(raw, type_, error) from None
    if odd_text.suspicious(raw) and (odd := odd_text.faults_in(raw)):
        raise invalid(odd)
    return value


def refuse(value: object, type_: Any) -> ValidationError:
    """Return the error that says why the decoded document `value` is no `type_`."""
    return _error(faults(value, type_))


def missing(type_: Any) -> ValidationError:
    """Return the error for a request without a body where a `type_` is needed."""
    found = faults({}, type_)
    return _error(found) if found else _malformed("A JSON body is needed here; send {} for none of its fields.")


@lru_cache(maxsize=512)
def _decoder(type_: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(type_)


def _explain(raw: bytes, type_: Any, error: Exception) -> ValidationError:
    if odd := odd_text.faults_in(raw):
        return invalid(odd)
    try:
        document = msgspec.json.decode(raw)
    except RecursionError:
        return _malformed("The body is nested too deeply.")
    except ValueError as complaint:
        return _malformed(f"The body is not valid JSON: {complaint}.")
    found = faults(document, type_)
    return _error(found) if found else _malformed(f"The body cannot be read: {error}.")


def _malformed(detail: str) -> ValidationError:
    return ValidationError(detail, errors=[FieldError(loc=[], msg=detail, type="json")])


def _error(found: list[FieldError]) -> ValidationError:
    first = found[0]
    if not first["loc"]:
        return ValidationError(f"The body {first['msg']}.", errors=found)
    return invalid(found)


class JsonBody(AbstractDTO[msgspec.Struct]):
    """Makes Litestar hand every `data` parameter's raw bytes to `decode`, in place of its own two passes."""

    model_type = msgspec.Struct
    types: ClassVar[dict[str, Any]] = {}

    @classmethod
    def create_for_field_definition(
        cls, field_definition: FieldDefinition, handler_id: str, backend_cls: Any = None
    ) -> None:
        """Remember the type that the handler wants."""
        del backend_cls
        cls.types[handler_id] = field_definition.annotation

    def decode_bytes(self, value: bytes) -> Any:
        """Decode a JSON body."""
        return decode(value, self.types[self._handler_id])

    def decode_builtins(self, value: dict[str, Any]) -> Any:
        """Convert the fields of a submitted form."""
        type_ = self.types[self._handler_id]
        try:
            return msgspec.convert(value, type_, strict=False)
        except msgspec.ValidationError:
            raise refuse(value, type_) from None

    @property
    def _handler_id(self) -> str:
        return str(self.asgi_connection.route_handler.handler_id)

    @classmethod
    def create_openapi_schema(
        cls, field_definition: FieldDefinition, handler_id: str, schema_creator: Any
    ) -> Reference | Schema:
        """Describe the type itself."""
        del handler_id
        schema: Reference | Schema = schema_creator.for_field_definition(field_definition)
        return schema

    @classmethod
    def generate_field_definitions(cls, model_type: type[Any]) -> Generator[DTOFieldDefinition, None, None]:
        """Yield nothing: no transfer model is made."""
        del model_type
        yield from ()

    @classmethod
    def detect_nested_field(cls, field_definition: FieldDefinition) -> bool:
        """Return False: no transfer model is made."""
        del field_definition
        return False
