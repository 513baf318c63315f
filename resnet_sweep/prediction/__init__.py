"""From trained nets and a set of images to a folder of predictions."""
