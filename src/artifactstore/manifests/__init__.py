"""What is said about bytes in formats that others read: statements, signed envelopes, bags, image layouts.

Part of the control plane: it reads and writes descriptions, and gets bytes only as streams that it is handed.
"""
