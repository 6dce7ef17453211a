"""Every setting, with default, unit and help: read once from the environment (`ITUKG_…`), and passed in."""

import os
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, HttpUrl, SecretStr, TypeAdapter, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError

from itukg.errors import BadRequest

CHECKOUT = Path(__file__).parents[2]
PREFIX = "ITUKG_"
"""How the environment variables of settings begin."""
BUILD_WITHOUT_UI = "ITUKG_NO_UI"
"""The variable with which the package is built without its editor; no setting of a run."""


def shipped() -> Path:
    """Return the folder that holds `ontology/ shapes/ data/ queries/`: inside the package, else the checkout."""
    packed = Path(__file__).parent / "_data"
    return packed if packed.is_dir() else CHECKOUT


def default_home() -> Path:
    """Return `build/` in a checkout, else `itukg` in the user's cache directory."""
    if shipped() == CHECKOUT:
        return CHECKOUT / "build"
    cache = os.environ.get("XDG_CACHE_HOME")
    return (Path(cache) if cache else Path.home() / ".cache") / "itukg"


def cores() -> int:
    """Return the number of processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def address(url: str) -> str:
    """Return `url` if it is the address of a service. Raises BadRequest, which does not repeat it: it may contain a password."""
    try:
        parsed = TypeAdapter(HttpUrl).validate_python(url)
    except ValidationError:
        raise BadRequest("An address begins with http:// or https:// and names a host.") from None
    if parsed.username or parsed.password:
        raise BadRequest("Put user and password into ITUKG_STORE_USER and ITUKG_STORE_PASSWORD, not into the address.")
    return url


def _address(url: str | None) -> str | None:
    try:
        return None if url is None else address(url)
    except BadRequest as error:
        raise ValueError(str(error)) from None


def _sendable(secret: SecretStr | None) -> SecretStr | None:
    if secret is not None and not (secret.get_secret_value().isascii() and secret.get_secret_value().isprintable()):
        raise ValueError("It contains a character that cannot be sent in a header.")
    return secret


def _given(value: object) -> object:
    """Return a value without line ends, and None for an empty one: files of settings and secrets leave these."""
    return (value.strip("\r\n") or None) if isinstance(value, str) else value


_GIVEN = BeforeValidator(_given)


class Settings(BaseSettings):
    """The settings of one run."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, hide_input_in_errors=True)

    corpus: Path = Field(
        default_factory=shipped, description="Folder that holds `ontology/`, `shapes/`, `data/` and `queries/`."
    )
    home: Path = Field(default_factory=default_home, description="Folder that holds the built releases.")
    release: Annotated[str | None, _GIVEN] = Field(
        default=None,
        description="Name of a built release that `serve`, `query`, `export` and `load` take; by default that of the files.",
    )
    host: str = Field(default="127.0.0.1", description="Address on which `serve` listens.")
    port: int = Field(default=8000, ge=0, le=65535, description="Port on which `serve` listens; 0 picks a free one.")
    public: Annotated[str | None, _GIVEN, AfterValidator(_address)] = Field(
        default=None,
        description="Address by which clients reach the service, which answers name; by default the host that each was sent to.",
    )
    timeout: float = Field(default=10.0, gt=0, description="Seconds that a query may take, from its arrival.")
    store: Annotated[str | None, _GIVEN, AfterValidator(_address)] = Field(
        default=None,
        description="Address of a SPARQL 1.1 server to use as the store; by default the release is in memory.",
    )
    store_user: Annotated[str | None, _GIVEN] = Field(
        default=None, description="User name for that server, by basic or digest authentication."
    )
    store_password: Annotated[SecretStr | None, _GIVEN] = Field(default=None, description="Password of that user.")
    store_token: Annotated[SecretStr | None, _GIVEN, AfterValidator(_sendable)] = Field(
        default=None, description="Bearer token for that server, instead of a user name."
    )
    workers: int = Field(
        default_factory=lambda: cores() + 2,
        ge=1,
        le=64,
        description="Processes that evaluate queries: by default two more than there are cores; one client has at most all but one.",
    )
    slow_workers: int = Field(
        default=2,
        ge=1,
        le=64,
        description="Queries of over a second that run at once, each in another process and at a lower priority.",
    )
    memory: int = Field(
        default=500_000_000,
        ge=0,
        description="Memory that one query or validation may take, in bytes; 0: no limit.",
    )
    send_timeout: float = Field(
        default=60.0,
        gt=0,
        description="Seconds that a client may take to read an answer too large to be buffered, or the next part of any other.",
    )
    query_size: int = Field(default=200_000, ge=1, description="Largest request body or query that is read, in bytes.")
    upload_size: int = Field(default=10_000_000, ge=1, description="Largest upload that is validated, in bytes.")
    validation_workers: int = Field(
        default=1,
        ge=1,
        le=64,
        description="Uploads of one client that are validated at once, and as many of all that take over a second; two more processes are for others.",
    )
    validation_timeout: float = Field(
        default=30.0,
        gt=0,
        description="Seconds that an upload may wait for its turn, and as many that its validation may take.",
    )
    queue: int = Field(default=256, ge=1, description="Queries that may wait for their turn, and as many uploads.")
    queue_client: int = Field(default=64, ge=1, description="Queries of one client that may wait for their turn.")
    connections: int = Field(
        default=1000,
        ge=0,
        description="Connections of one client at once, or of one proxy; half of the files that the server may open at most; 0: only that.",
    )
    limit_violations: int = Field(
        default=60,
        ge=0,
        description="Queries of one client a minute that may hit a limit, then 429; 0: no limit.",
    )
    rate: int = Field(
        default=0, ge=0, description="Queries of one client a minute that are evaluated, then 429; 0: no limit."
    )
    cache: int = Field(default=64_000_000, ge=0, description="Size of the cache of answers, in bytes.")
    open_releases: int = Field(
        default=2, ge=0, le=64, description="Older releases that `?release=` keeps open at once; 0 refuses `?release=`."
    )
    open_release_idle: float = Field(
        default=300.0, gt=0, description="Seconds without a request after which an older release is closed."
    )
    log: Literal["text", "json"] = Field(
        default="text", description="How `serve` writes a line of its log: `text` or `json`."
    )
    log_level: Literal["info", "warning", "error"] = Field(
        default="info",
        description="What `serve` logs: `info` has a line for each request, `warning` and `error` have none.",
    )
    slow_log: float = Field(
        default=1.0, ge=0, description="Seconds after which a query is logged as slow, by its hash."
    )
    unverified: bool = Field(
        default=False,
        description="Whether data is built whose words were not checked against the documents; the release then says so.",
    )
    services: tuple[str, ...] = Field(
        default=(), description="IRIs that SERVICE may name, as a JSON list; by default none."
    )
    sources: Path | None = Field(
        default=None, description="Folder with the text copies of the source documents, for `evidence`."
    )


def read_settings(**given: object) -> Settings:
    """Return the settings of the environment, but for those that are given and not None.

    Raises BadRequest, naming the wrong setting.
    """
    try:
        return Settings.model_validate({**Settings().model_dump(), **{k: v for k, v in given.items() if v is not None}})
    except SettingsError as error:
        raise BadRequest(f'{error}: it is a list in JSON, such as \'["first", "second"]\'.') from None
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(map(str, first["loc"]))
        got = "" if name.startswith("store") else f" (got {first['input']!r})"  # settings of the store may be secret
        raise BadRequest(f"Setting {name}: {first['msg']}{got}.") from None


def misspelt() -> list[str]:
    """Return a sentence for each variable of the environment that is called like a setting and is none."""
    known = [f"{PREFIX}{name.upper()}" for name in Settings.model_fields]
    found = sorted(name for name in os.environ if name.startswith(PREFIX) and name not in (*known, BUILD_WITHOUT_UI))
    near = {name: get_close_matches(name, known, 1, 0.8) for name in found}
    return [
        f"{name} is no setting{f'; did you mean {near[name][0]}?' if near[name] else '.'} It is not used."
        for name in found
    ]
