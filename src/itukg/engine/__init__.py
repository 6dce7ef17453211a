"""What runs work that may be large, hostile or endless: worker processes with limits (`worker`), and who shares them (`pool`)."""
