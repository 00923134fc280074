from .view import CropView as CropView
