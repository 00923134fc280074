"""A data set in LeRobot's format, version 3: Parquet, MP4 and metadata, with an episode for each recording."""
