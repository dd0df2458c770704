"""Train a face-embedding network as a classifier: softmax, center loss.

    python train_softmax.py --data_dir ~/faces --image_size 112 --lfw_dir ~/lfw

The recipe: options → data → network and losses → fit. What each step does is in tf_facenet/.
"""

from tf_facenet import config, export, logs
from tf_facenet.options import SoftmaxOptions


def main(argv=None):
    """Train as the command line says; returns the exit status."""
    options = config.parse(SoftmaxOptions, argv, prog="train_softmax.py")
    logs.to_stdout(options.quiet)
    from tf_facenet.training import inputs  # after -h has been answered

    run, options, faces, sets = inputs.read(options, config.given(SoftmaxOptions, argv))
    export.check_formats(options.export)
    logs.import_tensorflow()  # after what fails without it
    import keras

    from tf_facenet import backbones, heads, losses
    from tf_facenet.data import check, prepare
    from tf_facenet.training import distribution, pretrained, runs, schedules, sharding, trial
    from tf_facenet.training.fit import fit
    from tf_facenet.training.trainer import FaceTrainer

    keras.utils.set_random_seed(options.seed)
    strategy = distribution.strategy(options)
    heads.check(options.head, **options.head_options)  # some margins have variables, which need the devices
    faces, bad_files = prepare.training_faces(options, faces)
    faces, held_out = prepare.hold_out(faces, options)
    workers = distribution.agree(strategy, faces)

    known = backbones.own.objects(options.import_, options.model_def)
    with strategy.scope():
        backbone = backbones.create(
            options.model_def, options.image_size, options.embedding_size, **options.backbone_options)
        head = sharding.create_head(options, faces.num_classes, strategy)
        center_loss = losses.CenterLoss(
            faces.num_classes, options.embedding_size,
            options.center_loss_alfa) if options.center_loss_factor else None
        trainer = FaceTrainer(
            backbone, head, center_loss,
            center_loss_factor=options.center_loss_factor, weight_decay=options.weight_decay,
            prelogits_norm_loss_factor=options.prelogits_norm_loss_factor,
            prelogits_norm_p=options.prelogits_norm_p)
    trial.check(backbone, options.model_def, known)
    distribution.prepare(trainer, strategy, options.batch_size, options.remat, options.sync_batchnorm)
    if options.pretrained_model and not options.resume:
        pretrained.load(backbone, options.pretrained_model, known)
        pretrained.load_head(head, options.pretrained_model, faces.names)
    pretrained.freeze(backbone, options.freeze)

    plan = schedules.plan(options, len(faces))
    run = run or runs.start_together(options, workers)
    if workers.is_chief:
        check.write_bad_files(run.folder / "bad_files.txt", bad_files)
    status = fit(trainer, faces, plan, options, run, strategy, held_out, sets)
    if status == 0 and workers.is_chief:
        export.export_all(run.model, options.export, known)
    return status


if __name__ == "__main__":
    config.run(main)
