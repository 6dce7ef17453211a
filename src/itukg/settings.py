"""Every knob: default, unit, help. Read once from the environment (`ITUKG_…`) and passed in."""

import os
from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

CHECKOUT = Path(__file__).parents[2]


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


class Settings(BaseSettings):
    """The settings of one run."""

    model_config = SettingsConfigDict(env_prefix="ITUKG_")

    corpus: Path = Field(
        default_factory=shipped, description="Folder that holds `ontology/`, `shapes/`, `data/` and `queries/`."
    )
    home: Path = Field(default_factory=default_home, description="Folder that holds the built releases.")
    host: str = Field(default="127.0.0.1", description="Address on which `serve` listens.")
    port: int = Field(default=8000, ge=0, le=65535, description="Port on which `serve` listens; 0 picks a free one.")
    timeout: float = Field(default=10.0, gt=0, description="Seconds that a query may take, from its arrival.")
    threads: int = Field(default=4, ge=1, le=64, description="Queries evaluated at the same time.")
    query_size: int = Field(default=200_000, ge=1, description="Largest request body or query that is read, in bytes.")
    sources: Path | None = Field(
        default=None, description="Folder with the text copies of the source documents, for `evidence`."
    )
