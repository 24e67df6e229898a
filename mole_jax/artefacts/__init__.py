"""What lies on or around a lesion and is none of it: found by its pixels, drawn into an image, taken out of it."""
