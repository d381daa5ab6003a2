"""A bundle on a device, tier by tier: by arithmetic, on this machine, emulated, and on the device itself."""
