"""Runs a predictor over records and says how good it is, with what certainty.

`evaluate` scores a predictor, `evaluate_masks` a folder of masks written before; both give an `Evaluation`.
"""
