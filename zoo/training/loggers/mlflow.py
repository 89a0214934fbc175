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
    """The server, such as http://localhost:5000; null: files in the run's folder."""


@LOGGER.register("mlflow", spec=MLflowSpec, examples=[{}])
def mlflow(*, experiment: str, tracking_uri: str | None, folder: Path) -> MLFlowLogger:
    """Lightning's MLFlowLogger.

    Raises: RunError where the package is not installed.
    """
    from lightning.pytorch.loggers import MLFlowLogger  # slow to import

    try:
        uri = tracking_uri or f"file:{folder / 'mlflow'}"
        return MLFlowLogger(experiment_name=experiment, tracking_uri=uri)
    except ModuleNotFoundError as error:
        raise RunError(f"logger mlflow: {error}; pip install 'architecture-zoo[mlflow]'") from None
