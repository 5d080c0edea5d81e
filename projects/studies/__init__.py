"""What all studies share, from the options to the page. Engine-neutral.

`command` is what a project calls, with a `grid` of `jobs`; then the work is in rooms:

    running         jobs as processes side by side, or submitted to SLURM
    planning        what is left to do and what it costs: hours, memory, disk
    gathering       from finished runs to result.json
    classification  what the studies of classifiers share
    folders         what lies on the disk: whose a folder is, locks, records of runs

The first four do not know each other (`make lint` checks it).
"""
