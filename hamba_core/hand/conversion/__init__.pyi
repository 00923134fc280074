from .model_conversion import ConvertedHands as ConvertedHands, ModelConversion as ModelConversion
