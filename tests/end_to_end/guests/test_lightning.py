"""A trainer of Lightning that SIGTERM ends. It needs torch, so it runs only where both are installed by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip(
    "lightning", reason="torch is too large for CI: test_sigterm_of_others.py has its handlers"
)
TRAINING = """
import os, signal, warnings
warnings.simplefilter("ignore")
import torch, lightning
from lightning.pytorch.callbacks import OnExceptionCheckpoint
from torch.utils.data import DataLoader, TensorDataset

class Model(lightning.LightningModule):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(2, 1)
    def training_step(self, batch, number):
        if number == 2: os.kill(os.getpid(), signal.SIGTERM)
        return self.layer(batch[0]).mean()
    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.1)

trainer = lightning.Trainer(
    max_epochs=1, accelerator="cpu", devices=1, logger=False, enable_progress_bar=False, enable_model_summary=False,
    callbacks=[OnExceptionCheckpoint("checkpoints")], default_root_dir=".",
)
trainer.fit(Model(), DataLoader(TensorDataset(torch.zeros(9, 2)), batch_size=1))
"""


def test_checkpoint_at_sigterm(child: Any, tmp_path: Path) -> None:
    """With amllog, the trainer writes the same checkpoint and ends with the same code as without."""
    ends = []
    for setup in ("", "import amllog\namllog.setup()\n"):
        (tmp_path / "train.py").write_text(setup + TRAINING)
        ran = child(tmp_path / "train.py", env={"AMLLOG_DRIVER_LEVEL": "CRITICAL"})
        checkpoint = tmp_path / "checkpoints" / "on_exception.ckpt"
        ends.append((ran.returncode, checkpoint.exists()))
        checkpoint.unlink(missing_ok=True)
    assert ends[0] == ends[1] and ends[1][1]
