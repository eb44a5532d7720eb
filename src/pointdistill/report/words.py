"""The page's sentences, apart from its markup. None of them claims a result: those come from results.json alone."""

LEAD = (
    "A point-cloud backbone learned to predict, from geometry alone, what a frozen image teacher makes of the picture "
    "of the same view. Then it was fine-tuned on labelled point clouds, beside the same network started from random "
    "weights."
)
SMOKE = "This is a smoke run: it shows that everything works, and its figures mean nothing."
DOTS = (
    "Small dots are seeds, the large mark is their mean, the whisker one standard deviation. Axes need not start at "
    "zero. A difference is in colour where p < 0.05 or, if not tested, where it exceeds both standard deviations "
    "together."
)
PIPELINE = (
    "While it is pre-trained, the student never sees a picture or a caption: it sees points, and its only goal is the "
    "teacher's prefix, a handful of vectors. The language model below is the teacher's own and stays frozen: what it "
    "says from the student's prefix rests on the shape of things, and on what it likes to say of any room. Compare "
    "several frames."
)
UNDERLINED = "Underlined: words that the true description has as well."
R2 = (
    "R² is the share of the prefix's variance that is predicted, on rooms never trained on: 0 is the mean predictor, "
    "1 is perfect."
)
FLAT = (
    "The main metric on the validation set while fine-tuning, each seed thin, their mean bold. Look at the end of the "
    "curves: where scratch still climbs, a gap is partly a matter of speed; where it is flat, more steps would hardly "
    "close it."
)
SCENES = {
    "detection": "rooms with true and predicted boxes",
    "segmentation": "rooms with a class for each point",
    "parts": "objects with a part for each point",
}
CLICK = (
    "Turn with the mouse or the arrow keys, zoom with the wheel after a click; a click on a point says its class. "
    "Untick a class to hide it."
)
BOXES = (
    "True boxes have solid edges, predicted ones dashed. A prediction is a match if it overlaps a true box of its "
    "class with an IoU above 0.25. At first the score threshold shows about as many predictions as there are true "
    "boxes."
)
KEYS = "Arrow keys turn it, with Shift they move it, plus and minus zoom, 0 resets"
NO_WEBGL = "This browser draws no WebGL, so there is no picture in 3D. The tables and figures of the page are complete."
NO_SCRIPT = "Without JavaScript there are no pictures in 3D and no class tables; charts and figures are complete."
FINE_TUNING = (
    "the whole network is trained on the labels; the columns share data, schedule, learning rate and seeds, and "
    "differ only in the weights they start from."
)
LINEAR_PROBE = (
    "the backbone is frozen and only a linear layer is trained: it tells what the features hold before any label was "
    "seen. Scratch means random weights there."
)
PERMUTED = (
    "the same distillation with the targets shuffled between frames. What it gains is not knowledge of the picture "
    "but the use of having been trained at all."
)
POINT_MAE = (
    "reconstruction of hidden patches, on the same frames for as many steps: what the points teach without a teacher."
)
WON = (
    "the run's own criterion: distilled is ahead of scratch and of the permuted control, the larger p of these two "
    "tests, corrected over the tasks (Holm), lies below 0.05, and the mean clears the answer without learning."
)
ONE_SEED = "a figure without a spread. A difference between two such figures may be chance."
THESE_FIGURES = (
    "come from the data named above and hold for them. Figures on other data, or of other people's protocols, cannot "
    "be compared with them directly."
)
