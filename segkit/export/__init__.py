"""From a network to a file that other engines compute, and what that changed."""
