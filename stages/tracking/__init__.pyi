from .tracking import HandTracking as HandTracking, TrackingSettings as TrackingSettings
