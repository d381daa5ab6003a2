"""The emulator: the ARM build of onnxruntime under QEMU, as on a device that is not there."""
