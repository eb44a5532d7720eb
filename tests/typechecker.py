"""What jaxtyping's import hook puts around annotated functions: beartype, taking an int where a float is asked for."""

from beartype import BeartypeConf, beartype

check = beartype(conf=BeartypeConf(is_pep484_tower=True))
