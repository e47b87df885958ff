"""What tests of every room share: waiting, servers to torment, and a proxy that loses replies."""
