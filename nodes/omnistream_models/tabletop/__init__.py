"""Tables as pictures with exact truth, and the small network that learns from them how things look.

`setting` draws what is where and how it is lit and seen; `stage` renders it with MuJoCo out of what `building` made of `kinds`,
`solids`, `textures` and `colours`; `scenes` gives a picture with its truth. What tests see is drawn from other shapes,
patterns, lights and cameras than what is trained on.
"""
