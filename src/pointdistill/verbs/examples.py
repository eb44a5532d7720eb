"""What each verb is used for, as its help shows it."""

EXAMPLES: dict[str, tuple[str, ...]] = {
    "quickstart": (
        "pointdistill quickstart                     # about 20 minutes on 2 cores; then open quickstart/report.html",
        "pointdistill quickstart --fast              # does everything work? two minutes",
        "pointdistill quickstart --thorough          # with seeds, controls and significance tests: 80 minutes",
    ),
    "reproduce": (
        "pointdistill reproduce table5 --estimate    # how many runs, hours and GB",
        "pointdistill reproduce table5               # run what is missing, print the paper's beside ours",
        "pointdistill reproduce table2 --scale paper --data stores --device cuda --workers 4",
    ),
    "world": (
        "pointdistill world scannet rooms --count 4            # scans in ScanNetV2's layout",
        "pointdistill world modelnet40 objects --count 10      # labelled objects in ModelNet40's",
    ),
    "prepare": (
        "pointdistill prepare rooms store --every 1            # frames and the embedded teacher's targets",
        "pointdistill prepare rooms labelled --labels          # labelled scenes, for finetune and evaluate",
        "pointdistill prepare my-recordings store --split all --up -y --teacher hf:facebook/dinov2-small",
    ),
    "doctor": (
        "pointdistill doctor SCANNET                 # what is there, what is missing, what preparing it costs",
        "pointdistill doctor store --json            # the same for scripts; exit code 1 where there are problems",
    ),
    "pretrain": (
        "pointdistill pretrain quickstart --data store --heldout store-val --out run",
        "pointdistill pretrain paper --data store --out run --estimate     # steps, hours, memory, disk",
        "pointdistill pretrain quickstart-point-mae --data store --out mae --seed 1",
        "torchrun --nproc-per-node 8 -m pointdistill pretrain paper --data store --out run --device cuda",
    ),
    "finetune": (
        "pointdistill finetune detection-small --data labelled --init run --out detector",
        "pointdistill finetune detection-small --data labelled --out from-scratch",
        "pointdistill finetune classification-small --data objects --init run --labels 5 --seed 2",
    ),
    "probe": (
        "pointdistill probe classification-small --data objects --init run",
        "pointdistill probe classification-small --data objects --init run --protocol svm --out svm.json",
    ),
    "evaluate": (
        "pointdistill evaluate detector --data labelled          # a table, results.json, predictions, a page",
        "pointdistill evaluate detector --data labelled --split val --json --quiet",
    ),
    "analyse": ("pointdistill analyse run --data store --heldout store-val --objects objects",),
    "teacher": ("pointdistill teacher train path/to/images --out teacher    # images, captions.jsonl beside them",),
    "caption": (
        "pointdistill caption scan.ply --run run",
        "pointdistill caption store-val --frame 3 --run run",
    ),
    "classify": ("pointdistill classify scan.ply --run run --labels chair,table,bed",),
    "embed": (
        "pointdistill embed scans/ --backbone run --out features.npz       # every cloud file of a folder",
        "pointdistill embed store-val --backbone run --out pooled.npy",
    ),
    "convert": (
        "pointdistill convert --from point-mae pretrain.pth mae            # then: finetune ... --init mae",
        "pointdistill convert --to point-mae run backbone.pth",
    ),
    "export": (
        "pointdistill export detector detector.onnx              # boxes from raw points, for onnxruntime",
        "pointdistill export run features.pt2 --points 8192      # a backbone's features, for PyTorch alone",
    ),
    "push": (
        "pointdistill push run me/rooms --dry-run                          # what would be sent",
        "pointdistill push run me/rooms --private",
        "pointdistill push detector me/room-detector --licence apache-2.0",
    ),
    "bench": (
        "pointdistill bench                          # everything, 17 minutes",
        "pointdistill bench step geometry --json",
    ),
    "report": (
        "pointdistill report quickstart",
        "pointdistill report quickstart --markdown",
        "pointdistill report detector-a detector-b run --out compared.html",
    ),
    "view": (
        "pointdistill view scan.ply                                 # a cloud, or a folder of them",
        "pointdistill view store-val --run run --frame 3            # frames, in words, coloured by features",
        "pointdistill view labelled --no-open --port 0              # labelled scenes; only print the address",
        "pointdistill view detector                                 # after evaluate: true and predicted boxes",
    ),
}
