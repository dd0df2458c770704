"""Train a face-embedding network by triplets: an anchor nearer to its own person than to others.

    python train_tripletloss.py --data_dir ~/faces --pretrained_model runs/20260101-120000

The recipe: options → data → network and loss → fit. What each step does is in tf_facenet/.
"""

from tf_facenet import config, export, logs
from tf_facenet.options import TripletOptions


def main(argv=None):
    """Train as the command line says; returns the exit status."""
    options = config.parse(TripletOptions, argv, prog="train_tripletloss.py")
    logs.to_stdout(options.quiet)
    from tf_facenet.training import inputs  # after -h has been answered

    run, options, faces, sets = inputs.read(options, config.given(TripletOptions, argv))
    export.check_formats(options.export)
    logs.import_tensorflow()  # after what fails without it
    import keras

    from tf_facenet import backbones, heads, losses
    from tf_facenet.data import batches, check, prepare
    from tf_facenet.training import distribution, pretrained, runs, schedules, trial
    from tf_facenet.training.fit import fit
    from tf_facenet.training.triplet_trainer import TripletTrainer

    offline = options.mining == "offline"
    triplet_loss = losses.TripletLoss(
        options.alpha, None if offline else options.mining, options.triplet_distance, options.soft)

    keras.utils.set_random_seed(options.seed)
    strategy = distribution.strategy(options)
    faces, bad_files = prepare.training_faces(options, faces)
    batches.check_people(faces.labels, 3 if offline else options.batch_size, options.images_per_person)
    workers = distribution.agree(strategy, faces)

    known = backbones.own.objects(options.import_, options.model_def)
    with strategy.scope():
        backbone = backbones.create(
            options.model_def, options.image_size, options.embedding_size, **options.backbone_options)
        head = options.softmax_loss_factor and heads.create(
            "softmax", faces.num_classes, options.embedding_size)
        trainer = TripletTrainer(
            backbone, triplet_loss, options.images_per_person, head,
            head_factor=options.softmax_loss_factor, weight_decay=options.weight_decay)
    trial.check(backbone, options.model_def, known)
    distribution.prepare(trainer, strategy, options.batch_size, options.remat, options.sync_batchnorm)
    if options.pretrained_model and not options.resume:
        pretrained.load(backbone, options.pretrained_model, known)
    pretrained.freeze(backbone, options.freeze)

    plan = schedules.plan(options, len(faces))
    run = run or runs.start_together(options, workers)
    if workers.is_chief:
        check.write_bad_files(run.folder / "bad_files.txt", bad_files)
    status = fit(trainer, faces, plan, options, run, strategy, sets=sets)
    if status == 0 and workers.is_chief:
        export.export_all(run.model, options.export, known)
    return status


if __name__ == "__main__":
    config.run(main)
