"""Reconstruct: from tracked boxes to hands, by an estimator: the Hamba network or a fit to landmarks."""
