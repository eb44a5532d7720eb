"""What explains a finished pre-training, computed from its folder and from stores: how much of the prefix geometry
predicts, where concepts look, how features lie by class, what a draw of points keeps."""
