"""Anyone's data: how it is read (`reading`), what it is checked beside (`surroundings`), and where (`worker`, `validator`)."""
