"""The Hamba network, as in the paper's figure: backbone, joint regressor, token sampler, GSS head."""
