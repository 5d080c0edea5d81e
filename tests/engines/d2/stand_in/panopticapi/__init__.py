"""A stand-in for panopticapi, which is on no package index: what Detectron2 calls of it.

Written for these tests from the definition in the panoptic segmentation paper (Kirillov et al.,
CVPR 2019, section 4); it is not that package, and shares no code with it.
"""
