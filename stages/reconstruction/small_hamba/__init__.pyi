from .estimator import SmallHambaEstimator as SmallHambaEstimator
from .network import SmallNetwork as SmallNetwork, ViewedHands as ViewedHands
from .view import CropView as CropView
