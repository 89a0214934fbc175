"""MLflow, where the spec asks for it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from registry import Spec
from zoo.errors import RunError
from zoo.kinds import LOGGER

if TYPE_CHECKING:
    from lightning.pytorch.loggers import MLFlowLogger


class MLflowSpec(Spec):
    type: Literal["mlflow"] = "mlflow"
    experiment: str = Field("zoo", min_length=1)
    """The experiment that the run is one of."""
    tracking_uri: str | None = None
    """The server, such as http://localhost:5000; null: a database in the run's folder, mlflow/mlflow.db under
    its logs, which `mlflow ui --backend-store-uri sqlite:///FILE` shows."""


@LOGGER.register("mlflow", spec=MLflowSpec, examples=[{}])
def mlflow(*, experiment: str, tracking_uri: str | None, folder: Path) -> MLFlowLogger:
    """Lightning's MLFlowLogger.

    Raises: RunError where the package is not installed.
    """
    from lightning.pytorch.loggers import MLFlowLogger  # slow to import

    try:
        if tracking_uri is not None:
            return MLFlowLogger(experiment_name=experiment, tracking_uri=tracking_uri)
        # Newer MLflow refuses plain files (file:...) and would put artifacts where the command was called.
        here = folder.absolute() / "mlflow"
        here.mkdir(parents=True, exist_ok=True)
        return MLFlowLogger(
            experiment_name=experiment,
            tracking_uri=f"sqlite:///{here / 'mlflow.db'}",
            artifact_location=str(here / "artifacts"),
        )
    except ModuleNotFoundError as error:
        raise RunError(f"logger mlflow: {error}; pip install 'architecture-zoo[mlflow]'") from None
