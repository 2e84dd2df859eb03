"""The composition root: settings become a plan, a plan becomes objects, objects become a run."""
