"""Robots take what a pipeline gives: joint angles of dexterous hands, and ROS 2."""
