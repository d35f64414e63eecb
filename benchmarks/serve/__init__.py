"""Downloads from a real gateway process over loopback, beside nginx and aiohttp."""
