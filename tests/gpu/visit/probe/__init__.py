"""The probe of a visit to a GPU."""
