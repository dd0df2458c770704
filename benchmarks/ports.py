"""Ports of this machine for processes that train together."""

import socket


def free_addresses(count):
    """Addresses whose ports are free now."""
    sockets = [socket.create_server(("localhost", 0)) for _ in range(count)]
    addresses = [f"localhost:{each.getsockname()[1]}" for each in sockets]
    for each in sockets:
        each.close()
    return tuple(addresses)
