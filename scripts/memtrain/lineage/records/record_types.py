"""The types of the values in a record, which are checked when a record is read.

A record may be damaged, or of another version of memtrain: keys that are not named here are allowed
and may hold any JSON.
"""

from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    StringConstraints,
    TypeAdapter,
    ValidationError,
)

from memtrain.core.ranges import MOST_ROWS, Range

#: A size, a number of rows or a time in nanoseconds; SQLite holds no larger one.
Count = Annotated[int, Field(strict=True, ge=0, lt=MOST_ROWS)]

#: The path of a file. No file system has names with a NUL.
FilePath = Annotated[str, StringConstraints(pattern=r"^[^\x00]+$")]

#: A time, ISO 8601.
Time = Annotated[str, StringConstraints(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[^\x00]*$")]


class _Facts(BaseModel):
    """Facts by their names, some of which have to have a type."""

    model_config = ConfigDict(extra="allow", strict=True, defer_build=True)


class _Environment(_Facts):
    python: str = ""
    packages: dict[str, str] = {}
    variables: dict[str, str] = {}


class _Machine(_Facts):
    attempt: int = 1


class _Effort(_Facts):
    seconds: float = 0
    peak_memory_bytes: int = 0


class _Training(_Facts):
    order_digest: str
    kept_step: int | None = None


class _Job(_Facts):
    job: str
    split: str | None
    part: str | None = None
    reason: str | None


class _Workflow(_Facts):
    command: str
    user: str
    snakemake: str
    jobs: list[_Job] = []


class _Part(_Facts):
    part: str | None = None


class _Finding(_Facts):
    kind: str
    path: str
    message: str


class _Verification(_Facts):
    checked: int
    findings: list[_Finding]


_StartAndEnd = Annotated[list[int], Field(min_length=2, max_length=2)]


class _Removed(_Facts):
    path: str
    why: str


class _RemovedModel(_Facts):
    path: str
    split: str
    digest: str
    rows: list[_StartAndEnd] | None


class _Cleaning(_Facts):
    removed: list[_Removed] = []
    models: list[_RemovedModel] = []


class _Withdrawn(_Facts):
    rows: _StartAndEnd
    reason: str
    at: str
    digest: str
    values: str | None = None
    gone_at: str | None = None


class _Withdrawal(_Facts):
    withdrawals: list[_Withdrawn] = []


class _Accepted(_Facts):
    result: str
    at: str


class _Acceptance(_Facts):
    acceptances: list[_Accepted] = []


class _Details(_Facts):
    training: _Training | None = None
    workflow: _Workflow | None = None
    job: _Part | None = None
    verification: _Verification | None = None
    cleaning: _Cleaning | None = None
    withdrawal: _Withdrawal | None = None
    acceptance: _Acceptance | None = None
    metrics: dict[str, JsonValue] = {}


_ANY_JSON = TypeAdapter(dict[str, JsonValue], config=ConfigDict(allow_inf_nan=False))


def _like(model: type[BaseModel] | None) -> AfterValidator:
    """Return the check that facts are JSON and have the types that a model names."""

    def check(facts: dict[str, Any]) -> dict[str, Any]:
        try:
            _ANY_JSON.validate_python(facts)
            if model is not None:
                model.model_validate(facts)
        except ValidationError as error:
            raise ValueError(first_problem(error)) from None
        return facts

    return AfterValidator(check)


Facts = Annotated[dict[str, Any], _like(None)]
EnvironmentFacts = Annotated[dict[str, Any], _like(_Environment)]
MachineFacts = Annotated[dict[str, Any], _like(_Machine)]
EffortFacts = Annotated[dict[str, Any], _like(_Effort)]
DetailFacts = Annotated[dict[str, dict[str, Any]], _like(_Details)]


def _check_rows(rows: Range) -> Range:
    if not 0 <= rows.start <= rows.end < MOST_ROWS:
        raise ValueError("rows are [start, end), with 0 <= start <= end < 2^63")
    return rows


Rows = Annotated[Range, AfterValidator(_check_rows)]


def first_problem(error: ValidationError) -> str:
    """Return where the first problem lies, and what it is."""
    first = error.errors(include_url=False, include_input=False)[0]
    # A path through deeply nested lists would be as long as the file.
    where = ".".join(map(str, first["loc"][:5]))
    return f"{where}: {first['msg']}" if where else first["msg"]
