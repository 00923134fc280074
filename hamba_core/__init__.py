"""The hand model, the geometry and the Hamba network: tensors in, tensors out."""
