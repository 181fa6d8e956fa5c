"""`python -m visioncore.train`: one network, many recording sessions.

settings → devices → data and model, and whether they fit → callbacks and loggers → fit → report
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from visioncore.run.command_line import read
from visioncore.run.settings import Settings


def main(arguments: Sequence[str] | None = None) -> int:
    """Train. 0 done, 1 failed while training, 2 bad input: each failure a sentence on stderr."""
    from visioncore.run.failures import told

    with told() as outcome:
        settings, hydras = read(sys.argv[1:] if arguments is None else arguments)
        if any(hydras):
            from visioncore.run.composition import run_with_hydra

            run_with_hydra(settings, hydras, train)
        else:
            train(settings)
    return outcome.status


def train(settings: Settings) -> float | None:
    """A run, from its settings to its plots; the last validation's bits per spike."""
    from visioncore.run.preset import complete

    settings, config, sessions = complete(settings)  # torch takes seconds to load, and Lightning more

    from visioncore.run.devices import Machine, choose, strategy
    from visioncore.run.failures import learnt

    devices = choose(settings, Machine.here())

    import pytorch_lightning as pl
    from pytorch_lightning.utilities import rank_zero_info

    from visioncore.evaluation.report import report
    from visioncore.models.probe import check_inputs
    from visioncore.run.callbacks import make_callbacks
    from visioncore.run.loggers import make_loggers
    from visioncore.run.progress import on_terminal
    from visioncore.run.quiet import hush
    from visioncore.run.resuming import check_resumable, checkpoint_to_resume, going_on, saved_step
    from visioncore.run.saving import WholeFiles
    from visioncore.run.seeding import seed_everything
    from visioncore.training.lightning import MultiDatasetDM, MultiDatasetModel

    hush()
    for note in devices.notes:
        rank_zero_info(note)
    resume = checkpoint_to_resume(settings)
    settings = going_on(settings, resume)
    seed_everything(settings)

    data = MultiDatasetDM(
        sessions,
        settings.max_datasets,
        settings.batch_size,
        devices.workers,
        settings.steps_per_epoch,
        enable_curriculum=settings.enable_curriculum,
        compat=settings.quirks,
        seed=settings.seed,
        val_fraction=settings.val_fraction,
        curriculum_steps=settings.curriculum_steps,
    )
    model = MultiDatasetModel(
        config,
        sessions,
        settings.learning_rate,
        settings.weight_decay,
        settings.max_datasets,
        pretrained_checkpoint=settings.pretrained_checkpoint,
        freeze_vision=settings.freeze_vision,
        compile_model=settings.compile,
        core_lr_scale=settings.core_lr_scale,
        lr_scheduler=settings.lr_scheduler,
        warmup_epochs=settings.warmup_epochs,
        compat=settings.quirks,
        seed=settings.seed,
    )
    data.setup()  # what is wrong with the sessions is told before anything of an earlier run is touched
    check_inputs(model.model, data.one_sample_each(), data.names, config)
    check_resumable(resume, model)
    settings.make_folder()
    trainer = pl.Trainer(
        max_epochs=settings.max_epochs,
        accelerator=devices.accelerator,
        devices=devices.count,
        num_nodes=settings.num_nodes,
        strategy=strategy(settings, devices),
        precision=devices.precision,
        plugins=[WholeFiles()],
        callbacks=make_callbacks(settings),
        logger=make_loggers(settings, saved_step(resume)),
        limit_train_batches=settings.steps_per_epoch,
        limit_val_batches=data.limit_val_batches,
        log_every_n_steps=50,
        gradient_clip_val=settings.gradient_clip_val,
        accumulate_grad_batches=settings.accumulate_grad_batches,
        val_check_interval=1.0,
        use_distributed_sampler=settings.quirks.curriculum_never_anneals,
        enable_model_summary=False,
        enable_progress_bar=on_terminal(),
    )
    trainer.fit(model, datamodule=data, ckpt_path=resume)
    return learnt(report(trainer, model, data, settings.folder, settings.plots), settings)


if __name__ == "__main__":
    sys.exit(main())
