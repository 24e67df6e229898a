"""From uint8 pixels to what a network is fed."""
