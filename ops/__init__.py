"""What runs the project: the launcher for one machine and what its operators need around it."""
