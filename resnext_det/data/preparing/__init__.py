"""Preparing data sets from what their publishers hand out. Engine-neutral.

One module per kind of set; each makes `TARGET/SPLIT/CLASS/IMAGE`, resumes what was interrupted
and leaves a manifest.
"""
