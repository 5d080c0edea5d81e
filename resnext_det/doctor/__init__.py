"""What `resnext-det doctor` looks at: one file for each subject. Engine-neutral.

A subject is a generator of findings. It looks, and changes nothing that stays.
"""
