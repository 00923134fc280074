from .estimator import LandmarksEstimator as LandmarksEstimator
from .offsets import landmark_offsets as landmark_offsets
from .single import SingleFit as SingleFit, SingleHands as SingleHands
