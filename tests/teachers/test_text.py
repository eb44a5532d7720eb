from hypothesis import given
from hypothesis import strategies as st

from pointdistill.teachers.text import END, PAD, UNKNOWN, Vocabulary, leave_out, split_words


def test_words_are_lower_case_without_punctuation():
    assert split_words("A t-shirt, and the Dog's 2 bowls!") == [
        "a",
        "t-shirt",
        ",",
        "and",
        "the",
        "dog's",
        "2",
        "bowls",
    ]


def test_most_frequent_words_first_and_limited():
    vocabulary = Vocabulary.build(["b a a", "a c b", "d"], limit=6)
    assert vocabulary.words == ("a", "b", "c")
    assert len(vocabulary) == 6


def test_unknown_padding_end_and_cut():
    vocabulary = Vocabulary.build(["a chair"])
    tokens = vocabulary.encode(["a sofa", "a chair a chair a chair"], length=4)
    assert tokens[0].tolist()[1:] == [UNKNOWN, END, PAD]
    assert tokens[1, -1] == END and (tokens[1, :3] > UNKNOWN).all()


@given(st.lists(st.sampled_from(["a", "chair", ",", "sofa"]), max_size=6))
def test_decode_inverts_encode(words):
    vocabulary = Vocabulary.build(["a chair, sofa"])
    text = " ".join(words).replace(" ,", ",")
    assert vocabulary.decode(vocabulary.encode([text], 8)) == [text]


def test_words_left_out_leave_sentences_whole():
    colours = ("orange", "blue", "black")
    assert (
        leave_out("an orange sofa and a blue armchair in an office", colours) == "a sofa and an armchair in an office"
    )
    assert leave_out("two black chairs, a blackboard", colours) == "two chairs, a blackboard"
    assert leave_out("a hour is left alone", colours) == "a hour is left alone"
    assert leave_out("an orange sofa", ()) == "an orange sofa"
