"""The comparison's sentences. None of them claims a result."""

LEAD = "Runs side by side. Those that share all but the seed are one group, and its figures are means over its seeds."
FIGURES = (
    "Mean ± standard deviation (n - 1) over seeds, in %; n is the number of runs. Small dots are seeds, the large mark "
    "is their mean, the whisker one standard deviation. Axes need not start at zero."
)
TESTED = (
    "Diff.: mean less the baseline's, with its 95 % interval, paired by seed over the seeds that both have; where they "
    "share fewer than two, Welch's test of one run a start. Starts: how many pre-trained weights the runs began from; "
    "several fine-tunings of one are not independent. p is corrected over all comparisons of this page (Holm). Bold: p "
    "below 0.05."
)
CURVES = (
    "Out of each run's log.jsonl. Seeds are thin, the mean of a group bold, its band one standard deviation. Logs of "
    "more than 400 rows are drawn as means of so many pieces. The buttons hide a group."
)
EXAMPLES = "Of each group the run of the lowest seed is shown, whatever its figures."
LABELS = (
    "The main metric by how many labels were trained on, on a logarithmic axis. Lines are means over seeds, bands one "
    "standard deviation. Runs on all labels are in the tables, not here."
)
SETTINGS = "What differs between the groups, out of each run's own record. What all share is left out."
LACKING = "What is not there to be shown, and the command that adds it; STORE stands for your prepared data."
PAPER = "Figures that the paper prints, beside ours (docs/reproduce.md); mean ± standard deviation over seeds."
NOTHING = "No finished test among these runs: no figures yet."
READING = (
    ("Groups", "runs with the same recipe, data, teacher, start and labels; only the seed differs."),
    (
        "Starts that are not there",
        "where a fine-tuning's pre-training is not among the folders, the recipe's name and sizes tell starts apart; "
        "name its folder too, and all of its settings do.",
    ),
    ("One run", "a figure without a spread. A difference between two such figures may be chance."),
    ("Nothing is chosen", "every finished run counts; neither the best seed nor the best step is picked."),
)
