"""Uploads: how they are read (`read`), the data they are validated with (`context`), and the processes (`worker`, `validator`)."""
