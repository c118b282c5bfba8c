"""Ears: a small causal network that hears a spoken command and its end, and how it is made.

`voices` and `synthesis` make clips of the grammar's phrases and of `sentences` that are none; `augment` and `scenes` make
streams of them with a label for each 20 ms; `network`, of `convolutions` or as a `conformer`, is trained on those by
`training`; `export` writes what nodes load. `smaller` makes variants of it: as `products`, in `int8`, with fewer channels
(`pruning`, `fine_tuning`); `heard` and `sensitivity` tell what each costs.
"""
