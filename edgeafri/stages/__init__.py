"""The workstation: one file a method. Only here is torch imported; the only door is `menu.load()`."""
