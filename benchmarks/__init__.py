"""Measurements of the service: beside its peers (`compare`), with more data (`curve`), under attack (`soak`)."""
