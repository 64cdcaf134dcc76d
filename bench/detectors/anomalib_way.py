# SPDX-License-Identifier: Apache-2.0
"""Models of anomalib that need no pretrained weights, or are given random ones in their place."""

from __future__ import annotations

import time
from importlib import import_module
from pathlib import Path
from typing import Any, Callable, Dict, List

import numpy as np

from contender import TRAIN, Contender, Named, Result, Stopwatch, Task
from data import read_pixels

BATCH = 32


def made(name: str, task: Task, **settings: Any) -> Any:
    """A model whose images are resized to the task's size."""
    kind = getattr(import_module("anomalib.models"), name)
    side = task.network_side
    return kind(
        pre_processor=kind.configure_pre_processor(image_size=(side, side)),
        **settings,
        evaluator=False,
        visualizer=False,
    )


def stop_after(seconds: float) -> Any:
    """A callback that ends training after so much processor time, so that other work on the machine
    is not held against the model."""
    from lightning.pytorch.callbacks import Callback

    class Stop(Callback):
        def on_train_batch_end(self, trainer: Any, *_: Any) -> None:
            trainer.should_stop = trainer.should_stop or time.process_time() >= seconds

    return Stop()


def train(model: Any, task: Task) -> None:
    from anomalib.data import Folder
    from anomalib.engine import Engine

    seconds = time.process_time() + 60 * task.minutes * task.threads

    data = Folder(
        name="normal",
        root=task.images,
        normal_dir=TRAIN,
        train_batch_size=BATCH,
        eval_batch_size=BATCH,
        num_workers=0,
        val_split_mode="none",
        test_split_mode="none",
    )
    engine = Engine(
        accelerator="cpu",
        devices=1,
        logger=False,
        callbacks=[stop_after(seconds)],
        default_root_dir=task.scratch,
        enable_progress_bar=False,
        limit_val_batches=0,
        max_epochs=-1,
    )
    engine.fit(model=model, datamodule=data)


def score(model: Any, folder: Path, side: int) -> np.ndarray:
    """The network's own score, before it is mapped to [0, 1] by what a validation set says."""
    import torch

    pixels = read_pixels(folder, side)
    network = model.model.eval()
    found = []
    with torch.no_grad():
        for first in range(0, len(pixels), BATCH):
            batch = torch.from_numpy(pixels[first : first + BATCH]).permute(0, 3, 1, 2) / 255
            answer = network(model.pre_processor.transform(batch))
            values = answer.pred_score
            if values is None:
                values = answer.anomaly_map.flatten(1).amax(1)
            found.append(values.flatten().cpu().numpy())
    return np.concatenate(found)


def run(task: Task, title: str, make: Callable[[Task], Any]) -> List[Named]:
    import torch

    torch.set_num_threads(task.threads)
    torch.manual_seed(0)
    watch = Stopwatch()
    model = make(task)
    train(model, task)
    seconds = watch.lap()
    scores = {
        name: score(model, task.images / name, task.network_side) for name in task.scored_sets()
    }
    return [Named(f"anomalib {title}", Result(scores, seconds, watch.lap()))]


RANDOM = {"backbone": "resnet18", "pre_trained": False}

MODELS: Dict[str, Callable[[Task], Any]] = {
    "GANomaly": lambda task: made("Ganomaly", task, batch_size=BATCH),
    "FastFlow": lambda task: made("Fastflow", task, **RANDOM),
}
TITLES = {"FastFlow": "FastFlow, random ResNet-18"}


def contender(name: str) -> Contender:
    title = TITLES.get(name, name)
    return Contender(name, "anomalib", lambda task: run(task, title, MODELS[name]))


CONTENDERS = [contender(name) for name in MODELS]
