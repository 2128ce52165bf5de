"""Which model a command is about: options that several commands share, and the folder they lead to."""

from pathlib import Path
from typing import Annotated

import typer

from cli.errors import CommandError

ModelsOption = Annotated[
    Path,
    typer.Option("--models", envvar="OFFNORMAL_MODELS", help="Folder of the model store.", metavar="FOLDER"),
]
ModelOption = Annotated[
    str | None,
    typer.Option(
        "--model",
        help="Name of a model in the store, or the folder of one. The only one, if there is just one.",
    ),
]
VersionOption = Annotated[
    int | None, typer.Option("--version", min=1, help="Version; the newest if not given.")
]
DEFAULT_MODELS = Path("models")


def model_folder(models: Path, model: str | None, version: int | None) -> Path:
    """The folder of one version of a model.

    model: a name in the store `models`, a path to a version's folder, or None for the store's only model.
    Raises ModelNotFound, or CommandError where the choice is open.
    """
    from detector import ModelStore
    from detector.manifest import MANIFEST_FILE

    if model is not None and version is None and (Path(model) / MANIFEST_FILE).is_file():
        return Path(model)
    if model is not None and "/" in model:
        raise CommandError(f"{model}: no folder of a model (it has no {MANIFEST_FILE})")
    store = ModelStore(models)
    if model is None:
        names = store.names()
        if not names:
            raise CommandError(f"no model in {models}; name another store with --models")
        if len(names) > 1:
            raise CommandError(f"{models} has several models, choose one with --model: {', '.join(names)}")
        model = names[0]
    return store.folder(model, version)
