"""From a trained model to results for new images: engines, tiles, the predictor, inputs and writers."""
