"""From files on disk to samples: formats, readers, class map, check, splits, augmentation, loading."""
