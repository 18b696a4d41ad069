"""Where frames come from: files, cameras, images and synthetic pictures."""
