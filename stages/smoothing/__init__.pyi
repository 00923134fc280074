from .smoothing import Smoothing as Smoothing, SmoothingSettings as SmoothingSettings
