from .detection import DetectionSettings as DetectionSettings, HandDetection as HandDetection
