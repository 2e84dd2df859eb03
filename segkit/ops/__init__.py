"""Small functions over arrays and files that every layer may use: sizes, atomic writing. No torch."""
