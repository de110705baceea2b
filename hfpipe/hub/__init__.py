"""The client side of a Hub: where it is, what it holds, how to publish to it."""
