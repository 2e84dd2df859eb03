"""What computes a network: arrays in, logits out."""
