"""Where bytes are kept: the port (`spi`), the local root's layout and lock (`root`), and the backends behind it."""
