"""The sentences of the analyses' page. None of them claims a result."""

LEAD = "What a pre-training has learned, looked at from several sides, on frames and objects it was not trained on."
PREFIX = (
    "The teacher saw the picture, the student only the points. R² is the share of the prefix's variance that is "
    "predicted on rooms never trained on: 0 is what a constant reaches, 1 is all, below 0 is worse than a constant. "
    "A ridge regression reads the mean and the maximum of a frozen backbone's tokens; with random weights it tells how "
    "much of the prefix any features of that form give away. Components are the principal components of the training "
    "targets; the dotted line is each one's share of their variance."
)
CONCEPTS = (
    "Each concept token reads all patches of the cloud and weighs them. Colour is that weight at the last layer, the "
    "mean over heads, as a multiple of an even share; a point in several patches has the mean of theirs, a point in "
    "none is grey. Frames are evenly spaced over the held-out store."
)
FEATURES = (
    "Features are the mean and the maximum of a frozen backbone's tokens; no label was used to train it. Pictures of "
    "many dimensions in two mislead: t-SNE tells who is near whom and little of distances and gaps. So the table comes "
    "first. Nearest neighbours: each test object gets the class of its 20 nearest training objects, by a weighted "
    "vote. Silhouette: above 0 where classes keep to themselves, at most 1; for it and the pictures each feature is "
    "standardised by the training split. The buttons below hide classes."
)
LABELS = (
    "The metric on the test split after fine-tuning on a share of the labels. Lines are means over seeds, bands one "
    "standard deviation to either side, dots single seeds. The horizontal axis is logarithmic; the vertical one need "
    "not start at zero."
)
PROTOCOLS = (
    "Linear probe: the backbone is frozen and only a linear layer is trained. Fine-tuning: all of it is trained. Small "
    "dots are seeds, the large mark is their mean, the whisker one standard deviation."
)
CAPTIONS = (
    "The teacher's frozen language model reads a prefix and says what is there: once the prefix that the teacher made "
    "from the picture, once the one that the student predicts from the points. Frames are evenly spaced over the "
    "held-out store."
)
NEIGHBOURS = (
    "Held-out frames by the frozen backbone's features (mean and maximum of the tokens, less their mean over the "
    "store): the one asked about on the left, then those of other scans most like it, by the cosine between features. "
    "The words are read from the teacher's own prefix of each, which the backbone has not seen. Colour is height."
)
SAMPLING = (
    "Pre-training sees a fresh random draw of a frame's points in each epoch. Left, all points that the store keeps of "
    "the frame; beside them draws as the loader makes them. The panels turn together. The distance is the mean over "
    "all points to the nearest drawn one; drawn points count with 0."
)
