"""Every verb that writes, killed and starved at any moment, and what must be true afterwards."""
