"""Files that travel with the report's code."""

from importlib.resources import files

PACKAGE = "latentprint.attack_engine.report"


def asset(name: str) -> str:
    """The text of one file in `templates/`."""
    return files(PACKAGE).joinpath("templates", name).read_text(encoding="utf-8")
