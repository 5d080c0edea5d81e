"""Training and evaluating classifiers on folders of images. Engine-neutral."""

from resnext_det.classification.evaluate import evaluate_classifier
from resnext_det.classification.train import train_classifier

__all__ = ["evaluate_classifier", "train_classifier"]
