"""What a folder of images offers: its layout, its files, its tables."""
