"""The options of each verb of `resnext-det`, and its `run`. Engine-neutral.

Nothing here imports torch or another library that takes long, but inside a `run`.
"""
