"""Uploads to a real gateway process over loopback, beside other servers and ceilings in C."""
