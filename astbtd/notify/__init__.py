"""Notifications: what is announced, to whom, the spool between the store and the network, and the delivery."""
