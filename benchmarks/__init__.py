"""Measurements of the service: each module but the helpers is a command.

Beside its peers (`compare`), beside what takes long (`beside`), with more data (`curve`, `grow`), under attack (`soak`), linked
data (`resources`), and validation (`shacl`).
"""
