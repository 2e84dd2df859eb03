"""Looking into networks: what they are made of, what they see, and what their answers rest on."""
