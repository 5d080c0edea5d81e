"""Training gone wrong: losses or gradients that are not finite, and what is left of it.

Engine-neutral. `step` looks at each update, `guard` decides, `bundle` keeps what reproduces it,
`reading` and `reproduction` do it again.
"""
